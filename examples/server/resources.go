package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"sync"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
)

// addConfig adds a value that is read and replaced as a whole.
func addConfig(mux *coap.Mux) {
	config := coap.NewState(map[string]any{"name": "lab", "interval": 60})
	mux.Handle("GET /config", config, coap.Produces(message.AppJSON))
	mux.HandleFunc("PUT /config", func(w coap.ResponseWriter, r *coap.Request) {
		var next map[string]any
		if err := json.Unmarshal(r.Payload(), &next); err != nil {
			coap.Error(w, message.BadRequest, err.Error())
			return
		}
		config.Set(next)
	}, coap.Consumes(message.AppJSON))
}

// addReadings adds a collection: POST creates a member, whose path the answer tells.
func addReadings(mux *coap.Mux) {
	var mu sync.Mutex
	var readings [][]byte
	mux.HandleFunc("POST /readings", func(w coap.ResponseWriter, r *coap.Request) {
		mu.Lock()
		defer mu.Unlock()
		readings = append(readings, bytes.Clone(r.Payload())) // the payload is valid until the handler returns
		w.SetCode(message.Created)
		w.SetLocation("/readings/" + strconv.Itoa(len(readings)))
	}, coap.BodyLimit(64))
	mux.HandleFunc("GET /readings/{id}", func(w coap.ResponseWriter, r *coap.Request) {
		mu.Lock()
		defer mu.Unlock()
		id, err := strconv.Atoi(r.PathValue("id"))
		if err != nil || id < 1 || id > len(readings) {
			coap.Error(w, message.NotFound, "no such reading")
			return
		}
		w.SetContentFormat(message.TextPlain)
		w.Write(readings[id-1])
	})
}

// takeFirmware reads a body of any length as it arrives, block by block.
func takeFirmware(w coap.ResponseWriter, r *coap.Request) {
	n, err := io.Copy(io.Discard, r.BodyReader())
	if err != nil {
		return // the rest never came: nobody waits for an answer
	}
	fmt.Fprintf(w, "%d bytes", n)
}
