package blockwise

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/motewire/coap/internal/transcript"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
)

// A stage plays a scenario between a client and a server of this package, message by
// message, in the notation of RFC 7959 §3. Inputs are lines that begin with ">"; every
// line of output follows the input that caused it:
//
//	> server 128            the server likes blocks of 128 bytes
//	> server stateless      it acts on each block of an upload by itself, as in Figure 8
//	> body 300 [etag]       the body of responses
//	> get [early|late 64]   begin a GET, with a wish in the first request or later
//	> put 300 128           begin a PUT of 300 bytes in blocks of 128
//	> post 300 128 [early 64]
//	> observe 62350 [early 64]
//	> notify 62354          a notification; the client fetches the rest of it
//	> step 2                carry two requests and their responses
//	> lose request          carry a request that is lost, then its retransmission
//	> lose response         the same with the response
//	> resend                carry a request whose response never comes, and send its block
//	                        again under a new message ID
//	> finish                carry the rest
//	> forget                the server loses what it keeps
type stage struct {
	t     *testing.T
	out   *bytes.Buffer
	site  *site
	call  *call
	fixed Snapshot
	wish  Wish   // of the observer
	key   []byte // of its request
	serve func(*message.View) *message.View
}

func newStage(t *testing.T, out *bytes.Buffer) *stage { return &stage{t: t, out: out} }

func (s *stage) print(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }

func (s *stage) server(arg string) {
	if arg == "stateless" {
		s.serve = func(v *message.View) *message.View {
			b, _ := v.Block1()
			b.More = false
			return s.site.response(v, message.Changed, []message.Option{uintOption(message.Block1, b.Encode())}, nil)
		}
		arg = "128"
	}
	size, _ := strconv.Atoi(arg)
	s.site = newSite(s.t, size, func(_ peer.Addr, v *message.View, b []byte) Snapshot {
		s.print("server: handler runs, %d bytes", len(b))
		snapshot := s.fixed
		snapshot.Code = message.Changed
		if v.Code() == message.GET {
			snapshot.Code = message.Content
		}
		return snapshot
	})
	if s.serve == nil {
		s.serve = func(v *message.View) *message.View { return s.site.serve(peerNumber(1), v) }
	}
}

// begin starts a call; args end with a wish.
func (s *stage) begin(code message.Code, up []byte, blockSize int, args []string) {
	d := DownloadConfig{}
	if len(args) == 2 {
		d.Late = args[0] == "late"
		d.BlockSize, _ = strconv.Atoi(args[1])
	}
	resource := "status"
	switch code {
	case message.PUT:
		resource = "options"
	case message.POST:
		resource, d.Restarts = "soap", -1
	}
	s.call = newCall(s.t, code, resource, up, UploadConfig{BlockSize: blockSize}, d)
}

func (s *stage) input(line string) {
	f := strings.Fields(line)
	switch f[0] {
	case "server":
		s.server(f[1])
	case "body":
		n, _ := strconv.Atoi(f[1])
		s.fixed = Snapshot{Body: body(1, n)}
		if len(f) > 2 {
			raw, _ := hex.DecodeString(f[2])
			s.fixed.ETag, _ = message.MakeTag(raw)
		}
	case "get":
		s.begin(message.GET, nil, 0, f[1:])
	case "put", "post":
		n, _ := strconv.Atoi(f[1])
		size, _ := strconv.Atoi(f[2])
		code := map[string]message.Code{"put": message.PUT, "post": message.POST}[f[0]]
		s.begin(code, body(2, n), size, f[3:])
	case "observe":
		s.begin(message.GET, nil, 0, f[2:])
		n, _ := strconv.ParseUint(f[1], 10, 32)
		s.call.options = append(s.call.options, uintOption(message.Observe, 0))
		s.fixed.Options = []message.Option{uintOption(message.Observe, uint32(n))}
	case "notify":
		s.notify(f[1])
	case "step":
		n, _ := strconv.Atoi(f[1])
		for range n {
			s.step("", "")
		}
	case "lose", "resend":
		s.step(f[0], f[len(f)-1])
	case "finish":
		for range 100 {
			if s.step("", "") {
				return
			}
		}
		s.t.Error("no end")
	case "forget":
		size := 16 << s.site.szx
		s.site.assembler, s.site.store = mustAssembler(s.t, Config{BlockSize: size}), mustStore(s.t, StoreConfig{})
	default:
		s.t.Fatalf("unknown input %q", line)
	}
}

// notify sends the first block of the body in the size that the observer asked for.
func (s *stage) notify(number string) {
	n, _ := strconv.ParseUint(number, 10, 32)
	wish := s.wish
	wish.Block.Num = 0
	slice, _ := wish.Slice(len(s.fixed.Body), s.site.szx)
	v := parse(s.t, message.Message{
		Type: message.Confirmable, Code: message.Content, ID: 0xaf9c,
		Options: []message.Option{
			uintOption(message.Observe, uint32(n)), uintOption(message.Block2, slice.Block2.Encode()),
			{Number: message.ETag, Value: s.fixed.ETag.Append(nil)},
		},
		Payload: s.fixed.Body[:slice.End],
	})
	s.fixed.Options, s.fixed.Code = nil, message.Content
	s.site.store.KeepNotified(s.site.now, peerNumber(1), s.key, nil, s.fixed)
	s.print("client <- server  %s", describe(v))
	d, _ := NewDownload(DownloadConfig{})
	c := &call{t: s.t, code: message.GET, options: s.call.options, download: d, id: s.call.id, sent: v}
	c.options = without(c.options, message.Observe)
	s.call = c
	if done, err := c.receive(v); done || err != nil {
		s.t.Error(done, err)
	}
}

// describe prints a message as the RFC does.
func describe(v *message.View) string {
	s := fmt.Sprintf("%v [MID=%d], ", v.Type(), v.ID())
	if v.Code().IsRequest() {
		s += v.Code().Name() + ", "
		for segment := range v.PathSegments() {
			s += "/" + string(segment)
		}
	} else {
		s += v.Code().String() + " " + v.Code().Name()
	}
	if n, ok := v.Observe(); ok {
		s += fmt.Sprintf(", Observe %d", n)
	}
	if tag, ok := v.ETag(); ok {
		s += ", ETag " + tag.String()
	}
	if b, ok := v.Block2(); ok {
		s += ", 2:" + b.String()
	}
	if b, ok := v.Block1(); ok {
		s += ", 1:" + b.String()
	}
	if n, ok := v.Size2(); ok {
		s += fmt.Sprintf(", Size2 %d", n)
	}
	if n, ok := v.Size1(); ok {
		s += fmt.Sprintf(", Size1 %d", n)
	}
	if n := len(v.Payload()); n > 0 {
		s += fmt.Sprintf(" [%d]", n)
	}
	return s
}

// step carries one exchange, with a mishap where one is named, and reports the end.
func (s *stage) step(mishap, what string) bool {
	request, err := s.call.next()
	if err != nil {
		s.print("client: %v", err)
		return true
	}
	var response *message.View
	switch {
	case mishap == "lose" && what == "request":
		s.print("client -X server  %s", describe(request))
	case mishap != "":
		s.print("client -> server  %s", describe(request))
		response = s.respond(request)
		s.print("client X- server  %s", describe(response))
	}
	if mishap == "resend" {
		if request, err = s.call.next(); err != nil {
			s.t.Fatal(err)
		}
		response = nil
	}
	s.print("client -> server  %s", describe(request))
	if response == nil {
		response = s.respond(request)
	} // else it is a duplicate, and answered as before
	s.print("client <- server  %s", describe(response))
	done, err := s.call.receive(response)
	if err != nil {
		s.print("client: %v", err)
	} else if done {
		same := bytes.Equal(s.call.body, s.fixed.Body) || !response.Code().IsSuccess()
		s.print("client: %v, %d bytes, as they were: %t", response.Code(), len(s.call.body), same)
	}
	return done || err != nil
}

func (s *stage) respond(request *message.View) *message.View {
	if request.Has(message.Observe) {
		s.wish, s.key = WishOf(request), AppendKey(nil, request)
	}
	response := s.serve(request)
	s.fixed.Options = nil // Observe is for the first response alone
	return response
}

// The figures of RFC 7959 §3, and scenes like them.
func TestTranscripts(t *testing.T) {
	transcript.Run(t, func(t *testing.T, out *bytes.Buffer) transcript.Stage { return newStage(t, out).input })
}
