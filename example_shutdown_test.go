package coap_test

import (
	"context"
	"fmt"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport"
)

// Shutdown lets handlers finish; Serve returns when it is done.
func ExampleServer_Shutdown() {
	ctx := context.Background()
	conn, err := transport.Listen(ctx, "udp", "127.0.0.1:0", transport.Config{})
	if err != nil {
		panic(err)
	}
	srv := &coap.Server{Handler: coap.NewMux()}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ctx, conn) }()
	if _, err := coap.Ping(ctx, "coap://"+conn.LocalAddr().String()); err != nil {
		panic(err)
	}
	fmt.Println(srv.Shutdown(ctx), <-served)
	// Output: <nil> <nil>
}

// With a validator the core answers conditional requests: 4.12 where a precondition
// fails, 2.03 where the client has the representation already.
func ExampleValidate() {
	etag := []byte{1}
	mux := coap.NewMux()
	mux.HandleFunc("/config", func(w coap.ResponseWriter, _ *coap.Request) {
		w.SetETag(etag)
	}, coap.Validate(func(*coap.Request) ([]byte, bool) { return etag, true }))
	node := coaptest.NewServer(mux)
	defer node.Close()

	ctx, client, url := context.Background(), node.Client(), node.URL+"/config"
	for _, ask := range []func() (*coap.Response, error){
		func() (*coap.Response, error) { return client.Get(ctx, url, coap.ETag(etag)) },
		func() (*coap.Response, error) { return client.Put(ctx, url, coap.Text("x"), coap.IfMatch([]byte{2})) },
	} {
		resp, err := ask()
		if err != nil {
			panic(err)
		}
		fmt.Println(resp.Code, resp.Code.Name(), resp.Code == message.Valid)
	}
	// Output:
	// 2.03 Valid true
	// 4.12 Precondition Failed false
}
