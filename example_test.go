package coap_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport"
)

// A server in ten lines. A program has ListenAndServe(ctx, ":5683") in the place of
// Listen and Serve, which give the example a free port.
func ExampleServer() {
	mux := coap.NewMux()
	mux.HandleFunc("GET /hello/{name}", func(w coap.ResponseWriter, r *coap.Request) {
		w.WriteString("hello, " + r.PathValue("name"))
	})
	ctx, stop := context.WithCancel(context.Background())
	conn, err := transport.Listen(ctx, "udp", "127.0.0.1:0", transport.Config{})
	if err != nil {
		panic(err)
	}
	served := make(chan error, 1)
	go func() { served <- (&coap.Server{Handler: mux}).Serve(ctx, conn) }()

	resp, err := coap.Get(ctx, "coap://"+conn.LocalAddr().String()+"/hello/world")
	if err != nil {
		panic(err)
	}
	fmt.Printf("%v %s\n", resp.Code, resp.Payload())
	stop()
	fmt.Println(<-served)
	// Output:
	// 2.05 hello, world
	// <nil>
}

// lampServer is a node with a lamp, as the examples of clients ask it. Where a program names
// a host, "coap://node.local/lamp", these have a server in memory.
func lampServer() *coaptest.Server {
	lamp := "off"
	mux := coap.NewMux()
	mux.HandleFunc("GET /lamp", func(w coap.ResponseWriter, _ *coap.Request) {
		w.SetContentFormat(message.TextPlain)
		w.WriteString(lamp)
	})
	mux.HandleFunc("PUT /lamp", func(w coap.ResponseWriter, r *coap.Request) {
		if s := string(r.Payload()); s != "on" && s != "off" {
			coap.Error(w, message.BadRequest, "on or off?")
			return
		}
		lamp = string(r.Payload())
	})
	s := coaptest.NewUnstartedServer(mux)
	s.Config.Groups = []coap.Group{{Addr: netip.MustParseAddr("224.0.1.187")}}
	s.Config.Params.DefaultLeisure = time.Millisecond // 5 s by default: examples run in real time
	s.Start()
	return s
}

func ExampleClient() {
	node := lampServer()
	defer node.Close()
	client := &coap.Client{Listen: coaptest.Listen(node.Network)} // &coap.Client{} on UDP
	defer client.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := client.Put(ctx, node.URL+"/lamp", coap.Text("on")); err != nil {
		panic(err)
	}
	resp, err := client.Get(ctx, node.URL+"/lamp", coap.Accept(message.TextPlain))
	if err != nil {
		panic(err)
	}
	body, err := resp.Bytes()
	fmt.Printf("%s %v\n", body, err)
	// Output: on <nil>
}

// A 4.xx or 5.xx is a response. Err makes it an error for those who want nothing else.
func ExampleResponse_Err() {
	node := lampServer()
	defer node.Close()

	resp, err := node.Client().Put(context.Background(), node.URL+"/lamp", coap.Text("dim"))
	if err == nil {
		err = resp.Err()
	}
	var refused *coap.ResponseError
	if errors.As(err, &refused) {
		fmt.Println(refused.Code, refused.Diagnostic)
	}
	// Output: 4.00 on or off?
}

// An error says how far a request came and why it went no further.
func ExampleOpError() {
	node := lampServer()
	defer node.Close()
	client := &coap.Client{
		Listen: coaptest.Listen(node.Network),
		Params: coap.Params{AckTimeout: 5 * time.Millisecond, MaxRetransmit: -1}, // 2 s and 4 times by default
	}
	defer client.Close()

	node.Network.Partition(node.Addr)
	_, err := client.Get(context.Background(), node.URL+"/lamp")
	fmt.Println(err)
	fmt.Println(errors.Is(err, coap.ErrTimeout))
	// Output:
	// coap: GET coap://10.0.0.1/lamp at 10.0.0.1:5683: no acknowledgement (1 sent)
	// true
}

func ExampleClient_Do() {
	node := lampServer()
	defer node.Close()

	r := coap.NewRequest(message.GET, node.URL+"/lamp", coap.Body{}, coap.NonConfirmable)
	resp, err := node.Client().Do(context.Background(), r)
	if err != nil {
		panic(err)
	}
	format, _ := resp.ContentFormat()
	fmt.Printf("%s, %v, fresh for %v\n", resp.Payload(), format, resp.MaxAge())
	// Output: off, text/plain; charset=utf-8, fresh for 1m0s
}

// Group asks every node that listens to a group.
func ExampleClient_Group() {
	node := lampServer()
	defer node.Close()
	client := &coap.Client{Listen: coaptest.Listen(node.Network), GroupWindow: time.Minute}
	defer client.Close()

	for resp, err := range client.Group(context.Background(), "coap://224.0.1.187/.well-known/core") {
		if err != nil {
			panic(err)
		}
		fmt.Printf("%v: %s\n", resp.Peer(), resp.Payload())
		break // one is enough
	}
	// Output: 10.0.0.1:5683: </.well-known/core>;ct=40,</lamp>
}

func ExampleClient_Ping() {
	node := lampServer()
	defer node.Close()

	rtt, err := node.Client().Ping(context.Background(), node.URL)
	fmt.Println(rtt < time.Second, err)
	// Output: true <nil>
}

// A handler that blocks is fine: the client is told to wait by itself. One whose answer
// comes from elsewhere detaches.
func ExampleResponseWriter_detach() {
	jobs := make(chan coap.Responder, 1)
	s := coaptest.NewServer(coap.HandlerFunc(func(w coap.ResponseWriter, _ *coap.Request) {
		jobs <- w.Detach()
	}))
	defer s.Close()
	go func() {
		job := <-jobs
		job.WriteString("done later")
		job.Send()
	}()

	resp, err := s.Client().Post(context.Background(), s.URL, coap.Body{})
	fmt.Printf("%s %v\n", resp.Payload(), err)
	// Output: done later <nil>
}

// A handler may send requests to its client, over the same socket.
func ExamplePeer_Do() {
	s := coaptest.NewServer(coap.HandlerFunc(func(w coap.ResponseWriter, r *coap.Request) {
		resp, err := r.Peer().Do(r.Context(), coap.NewRequest(message.GET, "/name", coap.Body{}))
		if err != nil {
			coap.Error(w, message.BadGateway, err.Error())
			return
		}
		w.WriteString("welcome, " + string(resp.Payload()))
	}))
	defer s.Close()
	names := coap.NewMux()
	names.HandleFunc("GET /name", func(w coap.ResponseWriter, _ *coap.Request) { w.WriteString("node 7") })
	client := &coap.Client{Listen: coaptest.Listen(s.Network), Handler: names}
	defer client.Close()

	resp, err := client.Post(context.Background(), s.URL+"/register", coap.Body{})
	fmt.Printf("%s %v\n", resp.Payload(), err)
	// Output: welcome, node 7 <nil>
}

func ExampleTrace() {
	s := coaptest.NewUnstartedServer(coap.HandlerFunc(func(w coap.ResponseWriter, _ *coap.Request) {}))
	s.Config.Trace = &coap.Trace{End: func(e coap.TraceExchange) { fmt.Println(e.Method.Name(), "answered by", e.Code) }}
	s.Start()
	defer s.Close()
	if _, err := s.Client().Delete(context.Background(), s.URL+"/lamp"); err != nil {
		panic(err)
	}
	s.Config.Shutdown(context.Background())
	// Output: DELETE answered by 2.02
}
