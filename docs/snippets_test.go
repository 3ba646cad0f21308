package docs

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
)

// What the pages show of code, where no example has it. The pages' URLs name
// node.example; here the client is one whose node is in memory.

func hello() *coap.Mux {
	mux := coap.NewMux()
	mux.HandleFunc("GET /hello/{name}", func(w coap.ResponseWriter, r *coap.Request) {
		w.WriteString("hello, " + r.PathValue("name"))
	})
	return mux
}

func serve(ctx context.Context, addr string) error { // ":5683", for one
	return (&coap.Server{Handler: hello()}).ListenAndServe(ctx, addr)
}

func get(ctx context.Context, client *coap.Client, url string) (string, error) {
	resp, err := client.Get(ctx, url)
	if err != nil {
		return "", err // no answer: errors.Is(err, coap.ErrTimeout) and others
	}
	if err := resp.Err(); err != nil {
		return "", err // a 4.xx or 5.xx: *coap.ResponseError
	}
	body, err := resp.Bytes() // the whole, also where it takes many blocks
	return string(body), err
}

func put(ctx context.Context, client *coap.Client, url string) error {
	resp, err := client.Put(ctx, url, coap.Text("on"))
	if err != nil {
		return err
	}
	return resp.Err()
}

func observe(ctx context.Context, client *coap.Client, url string) error {
	for resp, err := range client.Observe(ctx, url) {
		if err != nil {
			return err
		}
		fmt.Println(string(resp.Payload()))
		if string(resp.Payload()) == "22" {
			break // ends the observation at the server, too
		}
	}
	return nil
}

func download(ctx context.Context, client *coap.Client, url string, to io.Writer) (int64, error) {
	resp, err := client.Get(ctx, url)
	if err != nil {
		return 0, err
	}
	return io.Copy(to, resp.Body) // blocks are fetched as they are read
}

func upload(ctx context.Context, client *coap.Client, url string, from io.Reader) error {
	resp, err := client.Put(ctx, url, coap.Stream(from, message.OctetStream))
	if err != nil {
		return err
	}
	return resp.Err()
}

func TestServe(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := serve(ctx, "127.0.0.1:0"); err != nil {
		t.Error(err)
	}
}

func TestSnippets(t *testing.T) {
	mux := hello()
	temperature := coap.NewState(21)
	mux.Handle("GET /temperature", temperature)
	var file []byte
	mux.HandleFunc("PUT /file", func(_ coap.ResponseWriter, r *coap.Request) {
		file = bytes.Clone(r.Payload())
		temperature.Set(22)
	})
	mux.HandleFunc("GET /file", func(w coap.ResponseWriter, _ *coap.Request) { w.Write(file) })
	s := coaptest.NewServer(mux)
	defer s.Close()
	ctx, client := t.Context(), s.Client()

	if body, err := get(ctx, client, s.URL+"/hello/you"); body != "hello, you" || err != nil {
		t.Errorf("get: %q, %v", body, err)
	}
	want := bytes.Repeat([]byte("0123456789"), 1000)
	if err := upload(ctx, client, s.URL+"/file", bytes.NewReader(want)); err != nil || !bytes.Equal(file, want) {
		t.Errorf("upload: %v, %d bytes", err, len(file))
	}
	var got bytes.Buffer
	if n, err := download(ctx, client, s.URL+"/file", &got); err != nil || n != 10_000 || !bytes.Equal(got.Bytes(), want) {
		t.Errorf("download: %d bytes, %v", n, err)
	}
	if err := observe(ctx, client, s.URL+"/temperature"); err != nil {
		t.Errorf("observe: %v", err)
	}
	if err := put(ctx, client, s.URL+"/file"); err != nil || string(file) != "on" {
		t.Errorf("put: %v, %q", err, file)
	}
}
