package coap_test

import (
	"context"
	"fmt"
	"log"
	"strings"

	"github.com/motewire/coap"
	"github.com/motewire/coap/linkformat"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport"
)

// serve serves a handler on a free port and returns the URL of its root.
func serve(ctx context.Context, h coap.Handler) (url string) {
	conn, err := transport.Listen(ctx, "udp", "127.0.0.1:0", transport.Config{})
	if err != nil {
		log.Fatal(err)
	}
	go (&coap.Server{Handler: h}).Serve(ctx, conn)
	return "coap://" + conn.LocalAddr().String()
}

// show prints a response.
func show(resp *coap.Response, err error) {
	if err != nil {
		log.Fatal(err)
	}
	b, _ := resp.Bytes()
	fmt.Println(strings.TrimSpace(fmt.Sprintf("%v %s", resp.Code, b)))
}

func ExampleMux() {
	mux := coap.NewMux()
	mux.HandleFunc("GET /sensors/{id}", func(w coap.ResponseWriter, r *coap.Request) {
		fmt.Fprintf(w, "sensor %s", r.PathValue("id"))
	})
	mux.HandleFunc("/files/{path...}", func(w coap.ResponseWriter, r *coap.Request) {
		fmt.Fprintf(w, "file %s", r.PathValue("path"))
	})

	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	root := serve(ctx, mux)
	show(coap.Get(ctx, root+"/sensors/7"))
	show(coap.Get(ctx, root+"/files/a/b"))
	show(coap.Delete(ctx, root+"/sensors/7"))
	show(coap.Get(ctx, root+"/elsewhere"))
	// Output:
	// 2.05 sensor 7
	// 2.05 file a/b
	// 4.05
	// 4.04
}

func ExampleMux_Use() {
	mux := coap.NewMux()
	mux.HandleFunc("GET /hello", func(w coap.ResponseWriter, r *coap.Request) { w.WriteString("hello") })
	mux.Use(func(next coap.Handler) coap.Handler {
		return coap.HandlerFunc(func(w coap.ResponseWriter, r *coap.Request) {
			fmt.Println("serving", r.Pattern())
			next.ServeCoAP(w, r)
		})
	})

	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	show(coap.Get(ctx, serve(ctx, mux)+"/hello"))
	// Output:
	// serving GET /hello
	// 2.05 hello
}

// What a route declares is answered before its handler runs.
func ExampleRouteOption() {
	current := coap.Validate(func(*coap.Request) (etag []byte, exists bool) { return []byte{1}, true })
	mux := coap.NewMux()
	mux.HandleFunc("GET /config", func(w coap.ResponseWriter, r *coap.Request) {
		w.SetContentFormat(message.AppJSON)
		w.SetETag([]byte{1})
		w.WriteString(`{"interval":60}`)
	}, coap.Produces(message.AppJSON), current)
	mux.HandleFunc("PUT /config", func(w coap.ResponseWriter, r *coap.Request) {},
		coap.Consumes(message.AppJSON), coap.RequireFormat(), current)

	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	url := serve(ctx, mux) + "/config"
	show(coap.Get(ctx, url, coap.Accept(message.AppCBOR)))
	show(coap.Put(ctx, url, coap.Text("60")))
	show(coap.Put(ctx, url, coap.Raw([]byte("60"))))
	show(coap.Put(ctx, url, coap.JSON(30), coap.IfMatch([]byte{9})))
	show(coap.Put(ctx, url, coap.JSON(30), coap.IfMatch([]byte{1})))
	show(coap.Get(ctx, url))
	show(coap.Get(ctx, url, coap.ETag([]byte{1})))
	// Output:
	// 4.06
	// 4.15
	// 4.00
	// 4.12
	// 2.04
	// 2.05 {"interval":60}
	// 2.03
}

// Routes are listed in /.well-known/core with their attributes; a collection adds its
// members when it is asked.
func ExampleLinks() {
	mux := coap.NewMux()
	mux.HandleFunc("GET /temperature", func(w coap.ResponseWriter, r *coap.Request) { w.WriteString("21.5") },
		coap.ResourceType("temperature-c"),
		coap.Interface("sensor"),
		coap.Title("Room"),
		coap.Produces(message.TextPlain))
	mux.HandleFunc("GET /readings/{id}", func(w coap.ResponseWriter, r *coap.Request) {},
		coap.Links(func() []linkformat.Link {
			return []linkformat.Link{{Target: "/readings/1"}, {Target: "/readings/2"}}
		}))

	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	url := serve(ctx, mux) + "/.well-known/core"
	show(coap.Get(ctx, url))
	show(coap.Get(ctx, url+"?rt=temperature*"))
	show(coap.Get(ctx, url+"?href=/readings/*"))
	// Output:
	// 2.05 </.well-known/core>;ct=40,</temperature>;rt="temperature-c";if="sensor";title="Room";ct=0,</readings/1>,</readings/2>
	// 2.05 </temperature>;rt="temperature-c";if="sensor";title="Room";ct=0
	// 2.05 </readings/1>,</readings/2>
}
