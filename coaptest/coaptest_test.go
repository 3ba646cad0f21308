package coaptest_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport/simnet"
)

func TestMain(m *testing.M) { coaptest.Main(m) }

func TestNewRequest(t *testing.T) {
	token, err := message.MakeToken([]byte{1, 2})
	if err != nil {
		t.Fatal(err)
	}
	const whole = "coap://lamp.example:5684/lamps/7?unit=lm"
	for _, target := range []string{"/lamps/7?unit=lm", whole} {
		r := coaptest.NewRequest(message.PUT, target, coap.Text("12"), coap.Token(token), coap.IfNoneMatch)
		if r.Path() != "/lamps/7" || r.Query("unit") != "lm" || string(r.Payload()) != "12" || !r.Confirmable() {
			t.Errorf("%s: %v", target, r.Message())
		}
		if r.Message().Token() != token || !r.Message().IfNoneMatch() || r.Method != message.PUT {
			t.Errorf("%s: %v", target, r.Message())
		}
	}
	host, _ := coaptest.NewRequest(message.GET, whole, coap.Body{}).Message().URIHost()
	if string(host) != "lamp.example" {
		t.Errorf("Uri-Host %q", host)
	}
	if r := coaptest.NewRequest(message.GET, "/", coap.Body{}, coap.NonConfirmable); r.Confirmable() || r.Path() != "/" {
		t.Errorf("%v", r.Message())
	}
	if coaptest.NewRequest(message.GET, "/a", coap.Body{}).Message().Has(message.URIHost) {
		t.Error("Uri-Host for a target without host")
	}
}

func TestNewRequestRefusesNonsense(t *testing.T) {
	for _, test := range []struct {
		method message.Code
		target string
		body   coap.Body
	}{
		{message.GET, "lamps", coap.Body{}},
		{message.GET, "http://lamp.example/", coap.Body{}},
		{message.GET, "/%zz", coap.Body{}},
		{message.Content, "/", coap.Body{}},
		{message.Empty, "/", coap.Body{}},
		{message.PUT, "/", coap.JSON(make(chan int))},
	} {
		if !panics(func() { coaptest.NewRequest(test.method, test.target, test.body) }) {
			t.Errorf("%v %q did not panic", test.method, test.target)
		}
	}
}

func panics(f func()) (did bool) {
	defer func() { did = recover() != nil }()
	f()
	return false
}

func TestRecorder(t *testing.T) {
	rec := coaptest.NewRecorder()
	rec.SetCode(message.NotFound)
	rec.WriteString("dropped")
	rec.Reset()
	rec.SetCode(message.Created)
	rec.WriteString("he")
	rec.Write([]byte("llo"))
	rec.SetMaxAge(90*time.Second + 5)
	rec.SetLocation("/x")
	rec.SetLocation("/readings/7?a=b&c")
	rec.SetETag([]byte{1})
	rec.SetETag([]byte{2, 3})
	rec.SetContentFormat(message.AppJSON)
	rec.SetContentFormat(message.TextPlain)
	rec.AddOption(message.Size2, []byte{9})
	resp := rec.Result()
	rec.WriteString(", later")
	format, described := resp.ContentFormat()
	tag, _ := resp.ETag()
	size, _ := resp.Message().Size2()
	if resp.Code != message.Created || string(resp.Payload()) != "hello" || resp.MaxAge() != 90*time.Second ||
		resp.Location() != "/readings/7?a=b&c" || tag.String() != "0203" || format != message.TextPlain || !described || size != 9 {
		t.Errorf("%v", resp.Message())
	}
	if body, err := resp.Bytes(); string(body) != "hello" || err != nil {
		t.Errorf("%q, %v", body, err)
	}
}

func TestRecorderSilence(t *testing.T) {
	for method, want := range map[message.Code]message.Code{
		0: message.Content, message.GET: message.Content, message.FETCH: message.Content,
		message.PUT: message.Changed, message.POST: message.Changed, message.DELETE: message.Deleted,
	} {
		if got := (&coaptest.Recorder{Method: method}).Result().Code; got != want {
			t.Errorf("%v: %v, want %v", method, got, want)
		}
	}
}

func TestRecorderMisuse(t *testing.T) {
	detached := func() *coaptest.Recorder {
		r := coaptest.NewRecorder()
		r.Detach()
		return r
	}
	for name, misuse := range map[string]func(){
		"a request code":     func() { coaptest.NewRecorder().SetCode(message.GET) },
		"an empty ETag":      func() { coaptest.NewRecorder().SetETag(nil) },
		"Send undetached":    func() { coaptest.NewRecorder().Send() },
		"Detach twice":       func() { detached().Detach() },
		"Send twice":         func() { r := detached(); r.Send(); r.Send() },
		"too long an option": func() { r := coaptest.NewRecorder(); r.AddOption(9, make([]byte, 70_000)); r.Result() },
	} {
		if !panics(misuse) {
			t.Errorf("%s did not panic", name)
		}
	}
}

func TestRecorderDetached(t *testing.T) {
	coaptest.Run(t, func(t *testing.T) {
		rec := coaptest.NewRecorder()
		later := func(w coap.ResponseWriter, _ *coap.Request) {
			d := w.Detach()
			go func() {
				time.Sleep(time.Minute)
				d.WriteString("late")
				d.Send()
			}()
		}
		began := time.Now()
		later(rec, coaptest.NewRequest(message.GET, "/", coap.Body{}))
		if resp := rec.Result(); !rec.Detached() || string(resp.Payload()) != "late" || time.Since(began) != time.Minute {
			t.Errorf("%t, %q after %v", rec.Detached(), resp.Payload(), time.Since(began))
		}
	})
}

func hello(w coap.ResponseWriter, _ *coap.Request) { w.WriteString("hello") }

func TestServer(t *testing.T) {
	coaptest.Run(t, func(t *testing.T) {
		s := coaptest.NewServer(coap.HandlerFunc(hello))
		defer s.Close()
		resp, err := s.Client().Get(t.Context(), s.URL+"/any")
		if err != nil {
			t.Fatal(err)
		}
		if string(resp.Payload()) != "hello" || resp.Peer() != s.Addr {
			t.Errorf("%q from %v", resp.Payload(), resp.Peer())
		}
		if first, second := s.Client(), s.Client(); first != second {
			t.Error("another client each time")
		}
		s.Close()
		if _, err := s.Client().Get(t.Context(), s.URL); !errors.Is(err, coap.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

// Two servers share a network, whose loss costs nothing but virtual time.
func TestServersShareANetwork(t *testing.T) {
	coaptest.Run(t, func(t *testing.T) {
		a := coaptest.NewUnstartedServer(coap.HandlerFunc(hello))
		a.Network.SetDefault(simnet.Link{Loss: 0.5, Delay: time.Second / 10})
		b := coaptest.NewUnstartedServer(coap.HandlerFunc(hello))
		b.Network = a.Network
		a.Start()
		defer a.Close()
		b.Start()
		defer b.Close()
		if a.URL == b.URL {
			t.Fatalf("both at %s", a.URL)
		}
		answered := 0
		for range 10 {
			for _, s := range []*coaptest.Server{a, b} {
				if _, err := a.Client().Get(t.Context(), s.URL); err == nil {
					answered++
				} else if !errors.Is(err, coap.ErrTimeout) {
					t.Error(err)
				}
			}
		}
		if answered < 10 || a.Client().Stats().Messages.Retransmissions == 0 {
			t.Errorf("%d answered, %d retransmissions", answered, a.Client().Stats().Messages.Retransmissions)
		}
	})
}

func TestServerStartTwice(t *testing.T) {
	s := coaptest.NewServer(nil)
	defer s.Close()
	if !panics(s.Start) {
		t.Error("no panic")
	}
}

func TestServerCloseEndsHandlers(t *testing.T) {
	coaptest.Run(t, func(t *testing.T) {
		ended := false
		s := coaptest.NewServer(coap.HandlerFunc(func(_ coap.ResponseWriter, r *coap.Request) {
			<-r.Context().Done()
			ended = true
		}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := s.Client().Get(ctx, s.URL)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), s.Addr.Addr().String()) {
			t.Error(err)
		}
		s.Close()
		if !ended {
			t.Error("Close returned before the handler")
		}
	})
}
