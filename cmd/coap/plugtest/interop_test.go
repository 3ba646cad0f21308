package plugtest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/transport"
)

// libcoapClient finds libcoap's client (Debian's libcoap3-bin). Without it the test is
// skipped, or fails where COAP_INTEROP=required says that it must be there.
func libcoapClient(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"coap-client", "coap-client-notls", "coap-client-openssl", "coap-client-gnutls"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("COAP_INTEROP") == "required" {
		t.Fatal("coap-client is not installed and COAP_INTEROP=required")
	}
	t.Skip("coap-client is not installed (Debian package libcoap3-bin)")
	return ""
}

// serveUDP serves ticking resources on loopback until the test ends.
func serveUDP(t *testing.T) (url string) {
	t.Helper()
	conn, err := transport.Listen(t.Context(), "udp4", "127.0.0.1:0", transport.Config{})
	if err != nil {
		t.Fatal(err)
	}
	resources := New()
	srv := &coap.Server{Handler: resources.Mux(), NotifyInterval: NotifyInterval}
	ctx, stop := context.WithCancel(context.Background())
	served, ran := make(chan error, 1), make(chan struct{})
	go func() { served <- srv.Serve(ctx, conn) }()
	go func() { defer close(ran); resources.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		<-ran
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return "coap://" + conn.LocalAddr().String()
}

func TestInteropLibcoapClient(t *testing.T) {
	client, url := libcoapClient(t), serveUDP(t)
	file := func(name, content string) string {
		name = filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(name, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
		return name
	}
	body, large8K := varied(3333), varied(maxBody)
	tests := []struct {
		name, line string
		want       string // all of the output, but for the newline that it ends a body with
	}{
		{"get", "URL/large", string(large.body)},
		{"get in blocks of 16", "-b 16 URL/large", string(large.body)},
		{"get in blocks of 512, NON", "-N -b 512 URL/large", string(large.body)},
		// 4.3.1 loses the body of a Confirmable separate response ("large body receive internal issue").
		{"get separately, NON", "-N URL/large-separate?delay=100", string(large.body)},
		{"put", "-m put -t 0 -f " + file("body", body) + " URL/large-update", ""},
		{"get what was put", "URL/large-update", body},
		{"get what was put in blocks of 64", "-b 64 URL/large-update", body},
		{"put in blocks of 32", "-m put -t 0 -b 32 -f " + file("8k", large8K) + " URL/large-update", ""},
		{"get what was put in blocks of 32", "URL/large-update", large8K},
		{"put too much", "-m put -t 0 -f " + file("long", large8K+"x") + " URL/large-update", "4.13"},
		{"post", "-m post -t 0 -f " + file("post", body) + " URL/large-create", ""},
		{"get what was posted", "URL/large-create/1", body},
		{"post and get", "-m post -t 0 -b 128 -f " + file("both", body) + " URL/large-post", strings.ToUpper(body)},
		{"echo", "-m post -t 0 -e x URL/echo?rlen=8192", "x" + strings.Repeat("*", 8191)},
		{"fetch", "-m fetch -t 0 -f " + file("keys", strings.Repeat("c\n", 1000)+"b") + " URL/fetch", "b=2\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			args := append([]string{"-B", "10"}, strings.Fields(strings.ReplaceAll(tt.line, "URL", url))...)
			out, err := exec.CommandContext(ctx, client, args...).CombinedOutput()
			if err != nil || strings.TrimSuffix(string(out), "\n") != tt.want {
				t.Errorf("%v printed %q, %v; want %q", args, out, err, tt.want)
			}
		})
	}
}

// libcoap's client observes /obs-large for 3 s, in which it changes once at least.
func TestInteropLibcoapClientObserves(t *testing.T) {
	client, url := libcoapClient(t), serveUDP(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, client, "-s", "3", "-B", "10", url+"/obs-large").CombinedOutput()
	if states := len(out) / 1408; err != nil || states < 2 || len(out)%1408 > states {
		t.Errorf("printed %q, %v; want states of 1408 bytes, and maybe a newline behind each", out, err)
	}
}
