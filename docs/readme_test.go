//lint:file-ignore SA4006 The README leaves out what each step may fail by.

package docs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport"
	"github.com/motewire/coap/transport/simnet"
)

// The code of the README that is no whole program.

func observable(mux *coap.Mux) *coap.State[float64] {
	temperature := coap.NewState(21.5)
	mux.Handle("GET /temperature", temperature)
	temperature.Set(22) // notifies the observers
	return temperature
}

func follow(ctx context.Context) error {
	for resp, err := range coap.Observe(ctx, "coap://localhost/temperature") {
		if err != nil {
			return err
		}
		fmt.Println(string(resp.Payload()))
	}
	return nil
}

func alarms(mux *coap.Mux, alarm coap.Handler) {
	mux.Handle("GET /alarm", alarm, coap.Notifications(coap.NotifyPolicy{Type: coap.NotifyConfirmable}))
}

func upAndDown(ctx context.Context, image []byte) (*coap.Response, []byte, error) {
	resp, err := coap.Put(ctx, "coap://localhost/image", coap.Raw(image)) // as many blocks as it takes
	resp, err = coap.Get(ctx, "coap://localhost/image")
	image, err = resp.Bytes() // fetches them all
	return resp, image, err
}

func streamed(ctx context.Context, url string, file io.Reader, dst io.Writer) (int64, error) {
	resp, err := coap.Put(ctx, url, coap.Stream(file, message.OctetStream)) // one block is held
	resp, err = coap.Get(ctx, url)
	n, err := io.Copy(dst, resp.Body) // fetches a block when one is read
	return n, err
}

func streaming(mux *coap.Mux, dst io.Writer, file io.Reader) {
	mux.HandleFunc("PUT /image", func(w coap.ResponseWriter, r *coap.Request) {
		if _, err := io.Copy(dst, r.BodyReader()); err != nil {
			return // the upload broke off, and nobody waits for an answer
		}
	}, coap.StreamBody(), coap.BodyLimit(64<<20))
	mux.HandleFunc("GET /image", func(w coap.ResponseWriter, r *coap.Request) {
		w.SetBody(coap.Stream(file, message.OctetStream)) // closed when nobody asks for more
	})
}

func parts(ctx context.Context, client *coap.Client, url string, p []byte) (int, []byte, error) {
	at, err := client.ReaderAt(ctx, url) // an io.ReaderAt; fails where the ETag changes
	n, err := at.ReadAt(p, 1<<20)
	resp, err := client.Get(ctx, url, coap.Block(3, 64)) // one block of 64 bytes, no more
	return n, resp.Payload(), err
}

// onLocalhost serves a mux as coap://localhost to the package's functions, in memory.
func onLocalhost(t *testing.T, mux *coap.Mux) {
	network := simnet.New(1)
	conn, err := network.Listen(netip.MustParseAddrPort("127.0.0.1:5683"))
	if err != nil {
		t.Fatal(err)
	}
	server, served := &coap.Server{Handler: mux}, make(chan error, 1)
	go func() { served <- server.Serve(context.Background(), conn) }()
	before := coap.DefaultClient
	coap.DefaultClient = &coap.Client{Listen: func(_ context.Context, family string) (transport.Conn, error) {
		if family != "udp4" {
			return nil, net.UnknownNetworkError(family) // localhost has an address of it, too
		}
		return network.Listen(netip.AddrPortFrom(netip.IPv4Unspecified(), 0))
	}}
	t.Cleanup(func() {
		coap.DefaultClient.Close()
		coap.DefaultClient = before
		if err := errors.Join(server.Shutdown(context.Background()), <-served); err != nil {
			t.Error(err)
		}
	})
}

func TestReadmeBodies(t *testing.T) {
	mux := coap.NewMux()
	image := bytes.Repeat([]byte("0123456789abcdef"), 1<<17) // 2 MiB
	var taken bytes.Buffer
	streaming(mux, &taken, bytes.NewReader(image))
	onLocalhost(t, mux)
	ctx := t.Context()

	if resp, got, err := upAndDown(ctx, image); err != nil || resp.Err() != nil || !bytes.Equal(got, image) || !bytes.Equal(taken.Bytes(), image) {
		t.Errorf("%v, %v: %d bytes up, %d down", resp, err, taken.Len(), len(got))
	}
	taken.Reset()
	var down bytes.Buffer
	if n, err := streamed(ctx, "coap://localhost/image", bytes.NewReader(image), &down); err != nil || n != int64(len(image)) || !bytes.Equal(taken.Bytes(), image) {
		t.Errorf("%v: %d bytes up, %d down", err, taken.Len(), n)
	}
	p := make([]byte, 100)
	n, block, err := parts(ctx, coap.DefaultClient, "coap://localhost/image", p)
	if err != nil || n != 100 || !bytes.Equal(p, image[1<<20:][:100]) || !bytes.Equal(block, image[192:256]) {
		t.Errorf("%v: %d bytes %q, block %q", err, n, p, block)
	}
}

func TestReadmeObserve(t *testing.T) {
	mux := coap.NewMux()
	temperature := observable(mux)
	alarms(mux, coap.NewState(false))
	onLocalhost(t, mux)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var states atomic.Int32
	coap.DefaultClient.Trace = &coap.Trace{Received: func(coap.TraceDatagram) {
		if states.Add(1) == 1 { // the registration is answered
			go temperature.Set(23)
			return
		}
		cancel()
	}}
	if err := follow(ctx); !errors.Is(err, context.Canceled) || states.Load() < 2 {
		t.Errorf("%v after %d states", err, states.Load())
	}
	resp, err := coap.Get(t.Context(), "coap://localhost/alarm")
	if err != nil || string(resp.Payload()) != "false" {
		t.Errorf("%v, %v", resp, err)
	}
}

// The whole programs of the README are built as they stand, but for the port, and run: the
// client gets what the server says.
func TestReadmePrograms(t *testing.T) {
	if testing.Short() {
		t.Skip("builds two programs")
	}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := conn.LocalAddr().String()
	conn.Close() // the server takes it
	page, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var bin []string
	for i, m := range goBlock.FindAllStringSubmatch(string(page), -1) {
		if strings.HasPrefix(m[1], "package main\n") {
			code := strings.NewReplacer(`":5683"`, `"`+address+`"`, "//localhost/", "//"+address+"/").Replace(m[1])
			bin = append(bin, buildProgram(t, i, code))
		}
	}
	if len(bin) != 2 {
		t.Fatalf("%d programs, want a server and a client", len(bin))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	server := exec.CommandContext(ctx, bin[0])
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		server.Process.Kill()
		server.Wait()
	}()
	for {
		got, err := exec.CommandContext(ctx, bin[1]).CombinedOutput()
		if err != nil && strings.Contains(string(got), "unreachable") && ctx.Err() == nil {
			continue // the server is not up yet
		}
		if want := "2.05 hello, you\n"; err != nil || string(got) != want {
			t.Errorf("%v, %q, want %q", err, got, want)
		}
		return
	}
}

// buildProgram compiles a program in the module and returns the file.
func buildProgram(t *testing.T, number int, code string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), fmt.Sprint(number))
	file := filepath.Join(dir, "main.go")
	if err := errors.Join(os.Mkdir(dir, 0o777), os.WriteFile(file, []byte(code), 0o666)); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "program"), file)
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s%s", err, out, code)
	}
	return filepath.Join(dir, "program")
}
