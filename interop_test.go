package coap_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport"
)

// libcoap finds a program of libcoap (Debian's libcoap3-bin). Without it the test is
// skipped, or fails where COAP_INTEROP=required says that it must be there.
func libcoap(t *testing.T, name string) string {
	t.Helper()
	for _, candidate := range []string{name, name + "-notls", name + "-openssl", name + "-gnutls"} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	if os.Getenv("COAP_INTEROP") == "required" {
		t.Fatalf("%s is not installed and COAP_INTEROP=required", name)
	}
	t.Skipf("%s is not installed (Debian package libcoap3-bin)", name)
	return ""
}

// interopMux is what libcoap's client talks to.
func interopMux() *coap.Mux {
	stored := "22.5"
	mux := coap.NewMux()
	mux.HandleFunc("GET /hello", func(w coap.ResponseWriter, r *coap.Request) {
		w.SetContentFormat(message.TextPlain)
		w.WriteString("hello, " + r.Query("who"))
	})
	mux.HandleFunc("GET /stored", func(w coap.ResponseWriter, _ *coap.Request) { w.WriteString(stored) }, coap.Title("Stored"))
	mux.HandleFunc("PUT /stored", func(_ coap.ResponseWriter, r *coap.Request) { stored = string(r.Payload()) })
	mux.HandleFunc("POST /items", func(w coap.ResponseWriter, _ *coap.Request) {
		w.SetCode(message.Created)
		w.SetLocation("/items/1")
	})
	mux.HandleFunc("DELETE /stored", func(coap.ResponseWriter, *coap.Request) { stored = "" })
	mux.HandleFunc("FETCH /stored", func(w coap.ResponseWriter, r *coap.Request) { w.Write(r.Payload()) })
	mux.HandleFunc("GET /slow", func(w coap.ResponseWriter, r *coap.Request) {
		select { // longer than the Acknowledgement waits: a separate response
		case <-time.After(300 * time.Millisecond):
			w.WriteString("slow")
		case <-r.Context().Done():
		}
	})
	return mux
}

func TestInteropLibcoapClient(t *testing.T) {
	client := libcoap(t, "coap-client")
	url := serveUDP(t, interopMux())
	tests := []struct {
		name string
		args []string
		want string // substring of the output
	}{
		{"get", []string{"-m", "get", url + "/hello?who=you"}, "hello, you"},
		{"get NON", []string{"-N", "-m", "get", url + "/hello"}, "hello, "},
		{"put", []string{"-m", "put", "-e", "23.5", url + "/stored"}, ""},
		{"get what was put", []string{"-m", "get", url + "/stored"}, "23.5"},
		{"post", []string{"-m", "post", "-e", "x", "-v", "6", url + "/items"}, "2.01"},
		{"fetch", []string{"-m", "fetch", "-e", "echo", url + "/stored"}, "echo"},
		{"delete", []string{"-m", "delete", "-v", "6", url + "/stored"}, "2.02"},
		{"separate response", []string{"-m", "get", url + "/slow"}, "slow"},
		{"not found", []string{"-m", "get", url + "/none"}, "4.04"},
		{"method not allowed", []string{"-m", "post", "-e", "x", url + "/hello"}, "4.05"},
		{"discovery", []string{"-m", "get", url + "/.well-known/core"}, `</stored>;title="Stored"`},
		{"unknown critical option", []string{"-m", "get", "-O", "2049,x", url + "/hello"}, "4.02"},
		{"not acceptable", []string{"-m", "get", "-A", "50", url + "/hello"}, "4.06"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			out, err := exec.CommandContext(ctx, client, append([]string{"-B", "10"}, tt.args...)...).CombinedOutput()
			if err != nil || !strings.Contains(string(out), tt.want) {
				t.Errorf("%v printed %q, %v; want %q", tt.args, out, err, tt.want)
			}
		})
	}
}

// serveUDP serves a handler on a free loopback port until the test ends.
func serveUDP(t *testing.T, h coap.Handler) (url string) {
	t.Helper()
	conn, err := transport.Listen(t.Context(), "udp4", "127.0.0.1:0", transport.Config{})
	if err != nil {
		t.Fatal(err)
	}
	srv := &coap.Server{Handler: h}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(context.Background(), conn) }()
	t.Cleanup(func() {
		if err := srv.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return "coap://" + conn.LocalAddr().String()
}

// libcoapServer starts libcoap's server on a free port until the test ends.
func libcoapServer(t *testing.T, args ...string) (url string) {
	t.Helper()
	path := libcoap(t, "coap-server")
	probe, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.MustParseAddrPort(probe.LocalAddr().String())
	probe.Close()
	var log bytes.Buffer
	cmd := exec.Command(path, append([]string{"-A", "127.0.0.1", "-p", fmt.Sprint(addr.Port())}, args...)...)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("coap-server: %s", log.Bytes())
		}
	})
	url = "coap://" + addr.String()
	awaitServer(t, url)
	return url
}

// awaitServer pings until the server has opened its socket.
func awaitServer(t *testing.T, url string) {
	t.Helper()
	c := &coap.Client{Params: coap.Params{AckTimeout: 100 * time.Millisecond}}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		if _, err := c.Ping(ctx, url); err == nil {
			return
		} else if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
}

func TestInteropLibcoapServer(t *testing.T) {
	url := libcoapServer(t)
	c := &coap.Client{}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()

	tests := []struct {
		name string
		do   func() (*coap.Response, error)
		code message.Code
		want string
	}{
		{"get", func() (*coap.Response, error) { return c.Get(ctx, url+"/") }, message.Content, "libcoap"},
		{"get NON", func() (*coap.Response, error) { return c.Get(ctx, url+"/", coap.NonConfirmable) }, message.Content, "libcoap"},
		{"discovery", func() (*coap.Response, error) { return c.Get(ctx, url+"/.well-known/core") }, message.Content, "</time>"},
		{"put", func() (*coap.Response, error) { return c.Put(ctx, url+"/example_data", coap.Text("abc")) }, message.Created, ""},
		{"get what was put", func() (*coap.Response, error) { return c.Get(ctx, url+"/example_data") }, message.Content, "abc"},
		{"separate response", func() (*coap.Response, error) { return c.Get(ctx, url+"/async?1") }, message.Content, "done"},
		{"not found", func() (*coap.Response, error) { return c.Get(ctx, url+"/none") }, message.NotFound, ""},
		{"method not allowed", func() (*coap.Response, error) { return c.Post(ctx, url+"/", coap.Text("x")) }, message.MethodNotAllowed, ""},
		{"unknown critical option", func() (*coap.Response, error) {
			return c.Get(ctx, url+"/", coap.Option(2049, []byte("x")))
		}, message.BadOption, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp, err := tt.do()
			if err != nil {
				t.Fatal(err)
			}
			if resp.Code != tt.code || !strings.Contains(string(resp.Payload()), tt.want) {
				t.Errorf("got %v, want %v with %q", resp.Message(), tt.code, tt.want)
			}
		})
	}
	if _, err := c.Ping(ctx, url); err != nil {
		t.Error(err)
	}
}
