package main

import (
	"bytes"
	"context"
	"fmt"
	"time"

	gocoap "github.com/plgd-dev/go-coap/v3"
	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
	"github.com/plgd-dev/go-coap/v3/message/pool"
	"github.com/plgd-dev/go-coap/v3/mux"
	"github.com/plgd-dev/go-coap/v3/udp"
)

// The functions here are go-coap's side of docs/migration.md: they are compiled, not run.
var _ = []any{serveGoCoAP, getGoCoAP, putGoCoAP, observeGoCoAP}

func serveGoCoAP() error {
	r := mux.NewRouter()
	err := r.Handle("/hello", mux.HandlerFunc(func(w mux.ResponseWriter, r *mux.Message) {
		w.SetResponse(codes.Content, message.TextPlain, bytes.NewReader([]byte("hello")))
	}))
	if err != nil {
		return err
	}
	return gocoap.ListenAndServe("udp", ":5683", r)
}

func getGoCoAP(ctx context.Context) error {
	conn, err := udp.Dial("node.example:5683")
	if err != nil {
		return err
	}
	defer conn.Close()
	resp, err := conn.Get(ctx, "/hello")
	if err != nil {
		return err
	}
	body, err := resp.ReadBody()
	if err != nil {
		return err
	}
	fmt.Println(resp.Code(), string(body))
	return nil
}

func putGoCoAP(ctx context.Context, conn mux.Conn) error {
	_, err := conn.Put(ctx, "/lamp", message.TextPlain, bytes.NewReader([]byte("on")))
	return err
}

func observeGoCoAP(ctx context.Context) error {
	conn, err := udp.Dial("node.example:5683")
	if err != nil {
		return err
	}
	defer conn.Close()
	obs, err := conn.Observe(ctx, "/temperature", func(m *pool.Message) {
		body, err := m.ReadBody()
		fmt.Println(string(body), err)
	})
	if err != nil {
		return err
	}
	time.Sleep(time.Minute)
	return obs.Cancel(ctx)
}
