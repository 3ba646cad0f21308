package blockwise_test

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/motewire/coap/blockwise"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
)

// request encodes a PUT of one part of a body.
func request(p blockwise.Part) *message.View {
	e := message.AppendHeader(nil, message.Confirmable, message.PUT, 1, message.Token{})
	e.OptionString(message.URIPath, "firmware")
	if p.Blockwise {
		e.OptionBlock(message.Block1, p.Block1)
	}
	if p.Size1 >= 0 {
		e.OptionUint(message.Size1, uint32(p.Size1))
	}
	datagram, _ := e.Finish(p.Payload)
	v := new(message.View)
	_ = v.Parse(datagram)
	return v
}

// reply encodes the response to it.
func reply(r blockwise.Result) *message.View {
	code := r.Outcome.Code()
	if r.Outcome == blockwise.Complete {
		code = message.Changed
	}
	e := message.AppendHeader(nil, message.Acknowledgement, code, 1, message.Token{})
	e.OptionBlock(message.Block1, r.Block1)
	datagram, _ := e.Finish(nil)
	v := new(message.View)
	_ = v.Parse(datagram)
	return v
}

// An upload of 100 bytes to a server that likes blocks of 32.
func ExampleAssembler() {
	server, err := blockwise.NewAssembler(blockwise.Config{BlockSize: 32})
	if err != nil {
		fmt.Println(err)
		return
	}
	client, err := blockwise.NewUpload(make([]byte, 100), blockwise.UploadConfig{BlockSize: 64})
	if err != nil {
		fmt.Println(err)
		return
	}
	from, now := peer.From(netip.MustParseAddrPort("192.0.2.1:5683")), time.Unix(0, 0)
	for {
		part, err := client.Next()
		if err != nil {
			fmt.Println(err)
			return
		}
		result := server.Receive(now, from, request(part), 0)
		fmt.Println(part.Block1, len(part.Payload), "bytes:", result.Outcome, result.Block1)
		if result.Outcome == blockwise.Complete {
			fmt.Println(len(result.Body), "bytes")
			server.Recycle(result.Body)
		}
		if final, err := client.Response(reply(result)); final || err != nil {
			return
		}
	}
	// Output:
	// 0/1/64 64 bytes: Continue 0/1/32
	// 2/1/32 32 bytes: Continue 2/1/32
	// 3/0/32 4 bytes: Complete 3/0/32
	// 100 bytes
}

// A client fetches a body of 100 bytes in blocks of 64.
func ExampleDownload() {
	body := make([]byte, 100)
	client, err := blockwise.NewDownload(blockwise.DownloadConfig{BlockSize: 64})
	if err != nil {
		fmt.Println(err)
		return
	}
	var got []byte
	for {
		block, asks := client.Next()
		wish := blockwise.Wish{Block: block, Asked: asks} // the server has it from WishOf
		slice, _ := wish.Slice(len(body), message.MaxSZX)
		e := message.AppendHeader(nil, message.Acknowledgement, message.Content, 1, message.Token{})
		e.OptionTag(message.ETag, blockwise.ETag(body))
		e.OptionBlock(message.Block2, slice.Block2)
		datagram, _ := e.Finish(body[slice.Start:slice.End])
		var response message.View
		_ = response.Parse(datagram)

		chunk, err := client.Add(&response)
		if err != nil {
			fmt.Println(err)
			return
		}
		got = append(got[:chunk.Offset], chunk.Payload...)
		fmt.Println("asked for", block, "got", slice.Block2)
		if chunk.Done {
			fmt.Println(len(got), "bytes")
			return
		}
	}
	// Output:
	// asked for 0/0/64 got 0/1/64
	// asked for 1/0/64 got 1/0/64
	// 100 bytes
}

// A response of which a client fetches the second block.
func ExampleStore() {
	store, err := blockwise.NewStore(blockwise.StoreConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	from, now := peer.From(netip.MustParseAddrPort("192.0.2.1:5683")), time.Unix(0, 0)
	request := func(num uint32) *message.View {
		e := message.AppendHeader(nil, message.Confirmable, message.POST, 1, message.Token{})
		e.OptionString(message.URIPath, "report")
		e.OptionBlock(message.Block2, message.Block{Num: num, SZX: 2})
		datagram, _ := e.Finish(nil)
		v := new(message.View)
		_ = v.Parse(datagram)
		return v
	}
	store.Keep(now, from, request(0), nil, blockwise.Snapshot{Code: message.Changed, Body: make([]byte, 100)})

	later := request(1)
	if snapshot, ok := store.Find(now, from, later, nil); ok {
		slice, _ := blockwise.WishOf(later).Slice(len(snapshot.Body), message.MaxSZX)
		fmt.Println(snapshot.Code, slice.Block2, slice.Start, slice.End)
	}
	_, ok := store.Find(now.Add(time.Hour), from, later, nil)
	fmt.Println("an hour later:", ok)
	// Output:
	// 2.04 1/0/64 64 100
	// an hour later: false
}
