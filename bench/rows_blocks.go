package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
)

const (
	bodyBytes  = 1 << 20
	blockBytes = 1024
)

// body is what the rows about bodies carry.
func body() []byte { return bytes.Repeat([]byte("0123456789abcdef"), bodyBytes/16) }

// addBody serves a body to be fetched and to be sent.
func addBody(mux *coap.Mux) {
	whole := body()
	mux.HandleFunc("GET /body", func(w coap.ResponseWriter, _ *coap.Request) { w.Write(whole) })
	mux.HandleFunc("PUT /body", func(w coap.ResponseWriter, r *coap.Request) {
		if !bytes.Equal(r.Payload(), whole) {
			w.SetCode(message.BadRequest)
		}
	})
}

// blocks compares a body in blocks, one after the other, with as many round trips of a
// datagram of a block's size by the system's blocking calls. It is time that counts, as
// nothing goes on beside.
func blocks(ctx context.Context, s *settings, t *table) error {
	server, err := contestants[1].start(ctx, s)
	if err != nil {
		return err
	}
	defer server.stop()
	peer, err := startChild(ctx, "respond")
	if err != nil {
		return err
	}
	defer peer.stop()
	addr := net.UDPAddrFromAddrPort(peer.addr)
	addr.IP = net.IPv4(127, 0, 0, 1)
	conn, err := net.DialUDP("udp4", nil, addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	client := &coap.Client{SourcePorts: 8}
	defer client.Close()
	url, whole := "coap://"+server.addr.String()+"/body", body()
	kinds := []struct {
		name string
		do   func() error
		took []float64 // ms
	}{
		{name: "round trips of UDP", do: func() error { return roundTrips(conn) }},
		{name: "PUT, Block1", do: func() error {
			resp, err := client.Put(ctx, url, coap.Raw(whole))
			if err == nil {
				err = resp.Err()
			}
			return err
		}},
		{name: "GET, Block2", do: func() error {
			resp, err := client.Get(ctx, url)
			if err != nil {
				return err
			}
			got, err := resp.Bytes()
			if err == nil && !bytes.Equal(got, whole) {
				err = fmt.Errorf("another body, of %d bytes", len(got))
			}
			return err
		}},
	}
	for round := range s.rounds + 1 {
		for i := range kinds {
			k := &kinds[(round+i)%len(kinds)]
			began := time.Now()
			if err := k.do(); err != nil {
				return fmt.Errorf("%s: %w", k.name, err)
			}
			if round > 0 { // the first one warms up
				k.took = append(k.took, float64(time.Since(began))/1e6)
			}
		}
	}
	t.head = []string{"1 MiB in 1,024 blocks", "ms", "× round trips"}
	for _, k := range kinds {
		r := spreadOf(ratios(k.took, kinds[0].took))
		t.add(k.name, spreadOf(k.took).String(), r.String())
		if k.name != kinds[0].name {
			t.note("%s: %s.", k.name, verdict(r, 1.25, false))
		}
	}
	return nil
}

// roundTrips sends datagrams of a block and reads the answers, one after the other.
func roundTrips(conn *net.UDPConn) error {
	request := append([]byte("\x44\x03..ABCD\xb4body\xff"), make([]byte, blockBytes)...)
	answer := make([]byte, 2048)
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	for range bodyBytes / blockBytes {
		if _, err := conn.Write(request); err != nil {
			return err
		}
		if _, err := conn.Read(answer); err != nil {
			return err
		}
	}
	return nil
}
