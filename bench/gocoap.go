package main

import (
	"bytes"
	"log"

	gocoap "github.com/plgd-dev/go-coap/v3"
	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
	"github.com/plgd-dev/go-coap/v3/mux"
)

// goCoAP is the server of go-coap v3, as its examples write it.
func (c *child) goCoAP() error {
	addr, err := freeAddr()
	if err != nil {
		return err
	}
	r := mux.NewRouter()
	err = r.Handle("/"+path, mux.HandlerFunc(func(w mux.ResponseWriter, _ *mux.Message) {
		if err := w.SetResponse(codes.Content, message.TextPlain, bytes.NewReader(tenBytes)); err != nil {
			log.Print(err)
		}
	}))
	if err != nil {
		return err
	}
	go func() { log.Print(gocoap.ListenAndServe("udp", addr.String(), r)) }()
	ready(addr, nothing)
	return nil
}
