package coap_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
)

// logServer has 100 KiB of text at /log, which it doesn't hold as a whole.
func logServer() *coaptest.Server {
	lines := strings.Repeat("all is well\n", 100<<10/12)
	return coaptest.NewServer(coap.HandlerFunc(func(w coap.ResponseWriter, _ *coap.Request) {
		w.SetBody(coap.Stream(strings.NewReader(lines), message.TextPlain)) // a program opens a file
	}))
}

// An upload of what a reader gives, block by block: a file, a pipe, or what is made on the way.
func ExampleStream() {
	s := coaptest.NewServer(coap.HandlerFunc(func(w coap.ResponseWriter, r *coap.Request) {
		fmt.Fprintf(w, "%d bytes", len(r.Payload()))
	}))
	defer s.Close()

	made, out := io.Pipe()
	go func() {
		for i := range 1000 {
			fmt.Fprintf(out, "line %3d\n", i)
		}
		out.Close()
	}()
	resp, err := s.Client().Put(context.Background(), s.URL+"/log", coap.Stream(made, message.TextPlain))
	if err != nil {
		panic(err)
	}
	fmt.Printf("%v %s\n", resp.Code, resp.Payload())
	// Output: 2.04 9000 bytes
}

// A handler that reads the body as it arrives, whatever its length. What is to be kept is
// kept at the end: an upload that breaks off is an error, never a short body.
func ExampleStreamBody() {
	mux := coap.NewMux()
	mux.HandleFunc("PUT /image", func(w coap.ResponseWriter, r *coap.Request) {
		sum := sha256.New()
		n, err := io.Copy(sum, r.BodyReader())
		if err != nil {
			return // nobody waits for a response any more
		}
		fmt.Fprintf(w, "%d bytes, SHA-256 %.4x…", n, sum.Sum(nil))
	}, coap.StreamBody(), coap.BodyLimit(8<<20))
	s := coaptest.NewServer(mux)
	defer s.Close()

	for _, size := range []int{100_000, 9 << 20} {
		resp, err := s.Client().Put(context.Background(), s.URL+"/image", coap.Raw(make([]byte, size)))
		if err != nil {
			panic(err)
		}
		fmt.Printf("%v %s\n", resp.Code, resp.Payload())
	}
	// Output:
	// 2.04 100000 bytes, SHA-256 9192c25b…
	// 4.13
}

// A response that is read as the client asks for its blocks, and a client that holds none
// of it either.
func ExampleResponseWriter_setBody() {
	s := logServer()
	defer s.Close()

	resp, err := s.Client().Get(context.Background(), s.URL+"/log")
	if err != nil {
		panic(err)
	}
	n, err := io.Copy(io.Discard, resp.Body) // fetches block after block
	fmt.Println(n, err)
	// Output: 102396 <nil>
}

// Ranges of a large representation: no more than their blocks are fetched.
func ExampleReaderAt() {
	s := logServer()
	defer s.Close()

	log, err := s.Client().ReaderAt(context.Background(), s.URL+"/log")
	if err != nil {
		panic(err)
	}
	size, _ := log.Size()
	tail := make([]byte, 12)
	_, err = log.ReadAt(tail, size-12)
	fmt.Printf("%q %v\n", tail, err)
	_, err = log.ReadAt(tail, size)
	fmt.Println(errors.Is(err, io.EOF))
	// Output:
	// "all is well\n" <nil>
	// true
}

// A link with small frames takes small blocks, in both directions.
func ExampleBlockSize() {
	s := coaptest.NewServer(coap.HandlerFunc(func(w coap.ResponseWriter, r *coap.Request) {
		w.Write(bytes.ToUpper(r.Payload()))
	}))
	defer s.Close()

	resp, err := s.Client().Post(context.Background(), s.URL, coap.Text("one block after the other"), coap.BlockSize(16))
	if err != nil {
		panic(err)
	}
	block, _ := resp.Message().Block2()
	body, err := resp.Bytes()
	fmt.Printf("%v, then %s %v\n", block, body, err)
	// Output: 0/1/16, then ONE BLOCK AFTER THE OTHER <nil>
}
