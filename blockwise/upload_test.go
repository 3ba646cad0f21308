package blockwise

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/motewire/coap/message"
)

// respond returns a response with these options.
func respond(t tb, code message.Code, payload []byte, options ...message.Option) *message.View {
	t.Helper()
	return parse(t, message.Message{Type: message.Acknowledgement, Code: code, Options: options, Payload: payload})
}

// A script plays an Upload against responses that a test writes down:
//
//	"0/1/32"          the part that Next must give, with its length where it is short
//	"<2.31 0/1/32"    a response with Block1
//	"<4.13 - 100"     without Block1, with Size1
//	"final", "error"  what Response says to it; nothing where it goes on
func script(t *testing.T, u *Upload, up []byte, lines ...string) error {
	t.Helper()
	final, failed, err := false, false, error(nil)
	for i, line := range lines {
		switch {
		case line == "final":
			if !final {
				t.Fatalf("line %d: not final, %v", i, err)
			}
			final = false
		case line == "error":
			if !failed {
				t.Fatalf("line %d: no error", i)
			}
		case final || failed:
			t.Fatalf("line %d: final %t, error %v", i, final, err)
		case line[0] == '<':
			f := strings.Fields(line[1:])
			code, _ := message.ParseCode(f[0])
			var options []message.Option
			if len(f) > 1 && f[1] != "-" {
				options = append(options, textBlock(message.Block1, f[1]))
			}
			if len(f) > 2 {
				var n uint32
				fmt.Sscan(f[2], &n)
				options = append(options, uintOption(message.Size1, n))
			}
			final, err = u.Response(respond(t, code, nil, options...))
			failed = err != nil
		default:
			var p Part
			if p, err = u.Next(); err != nil {
				failed = true
				continue
			}
			got := "whole"
			at := 0
			if p.Blockwise {
				got, at = p.Block1.String(), p.Block1.Offset()
			}
			if got != line || !bytes.Equal(p.Payload, up[at:min(at+max(p.Block1.Size(), 0), len(up))]) {
				t.Fatalf("line %d: %s, %d bytes, want %s", i, got, len(p.Payload), line)
			}
		}
	}
	if final {
		t.Error("final at the end")
	}
	return err
}

// textBlock reads NUM/M/SIZE; SIZE 2048 is the reserved one.
func textBlock(n message.OptionNumber, text string) message.Option {
	var num, more, size int
	fmt.Sscanf(text, "%d/%d/%d", &num, &more, &size)
	if size == 2048 {
		return uintOption(n, uint32(num<<4|more<<3|7))
	}
	return blockOption(n, num, more == 1, size)
}

func TestUploadScripts(t *testing.T) {
	up := body(1, 100)
	for name, c := range map[string]struct {
		n, size int
		want    error
		lines   []string
	}{
		"one message":   {32, 32, nil, []string{"whole", "<2.04", "final"}},
		"nothing":       {0, 32, nil, []string{"whole", "<2.04", "final"}},
		"an error":      {100, 32, nil, []string{"0/1/32", "<4.04", "final"}},
		"a later error": {100, 32, nil, []string{"0/1/32", "<2.31 0/1/32", "1/1/32", "<5.03 1/0/32", "final"}},
		"all":           {96, 32, nil, []string{"0/1/32", "<2.31 0/1/32", "1/1/32", "<2.31 1/1/32", "2/0/32", "<2.04 2/0/32", "final"}},
		"2.31 without Block1": {64, 32, nil, []string{
			"0/1/32", "<2.31", "1/0/32", "<2.04", "final"}},
		"larger size is not obeyed": {64, 32, nil, []string{"0/1/32", "<2.31 0/1/64", "1/0/32", "<2.04", "final"}},
		"smaller size in 2.31": {100, 64, nil, []string{
			"0/1/64", "<2.31 0/1/16", "4/1/16", "<2.31 4/1/16", "5/1/16", "<2.31 5/1/16", "6/0/16", "<2.04 6/0/16", "final"}},
		"NUM counted in the smaller size": {100, 32, nil, []string{
			"0/1/32", "<2.31 0/1/32", "1/1/32", "<2.31 2/1/16", "4/1/16", "<2.31 4/1/16"}},
		"smaller size in 4.13": {60, 64, nil, []string{
			"whole", "<4.13 0/0/32", "0/1/32", "<4.13 0/0/16", "0/1/16", "<4.13 0/0/16", "final"}},
		"smaller size in 4.13 later": {100, 32, nil, []string{
			"0/1/32", "<2.31 0/1/32", "1/1/32", "<4.13 1/0/16", "0/1/16"}},
		"4.13 as a hint to use Block1":  {60, 1024, nil, []string{"whole", "<4.13", "0/1/32", "<2.31 0/1/32"}},
		"4.13 of a tiny body":           {16, 1024, nil, []string{"whole", "<4.13", "final"}},
		"4.13 with a limit that allows": {60, 1024, nil, []string{"whole", "<4.13 - 60", "0/1/32"}},
		"4.13 with a limit that doesn't": {60, 1024, nil, []string{
			"whole", "<4.13 0/0/16 59", "final"}},
		"4.13 and the same size": {100, 32, nil, []string{"0/1/32", "<4.13 0/0/32", "final"}},
		"4.08 once":              {64, 32, nil, []string{"0/1/32", "<2.31", "1/0/32", "<4.08", "0/1/32", "<2.31", "1/0/32", "<2.04", "final"}},
		"4.08 twice":             {64, 32, nil, []string{"0/1/32", "<4.08", "0/1/32", "<4.08", "final"}},
		"4.08 to one message":    {9, 32, nil, []string{"whole", "<4.08", "final"}},
		"4.08 to the last block, sent twice": {64, 32, nil, []string{
			"0/1/32", "<2.31", "1/0/32", "1/0/32", "<4.08", "final"}},
		"4.08 to another block, sent twice": {96, 32, nil, []string{
			"0/1/32", "<2.31", "1/1/32", "1/1/32", "<4.08", "0/1/32"}},
		"block by block": {64, 32, nil, []string{"0/1/32", "<2.04 0/0/32", "1/0/32", "<2.04 1/0/32", "final"}},
		"success too early": {64, 32, ErrProtocol, []string{
			"0/1/32", "<2.04", "error"}},
		"2.31 to the last block": {32, 32, ErrProtocol, []string{"whole", "<2.31", "error"}},
		"another block":          {100, 32, ErrProtocol, []string{"0/1/32", "<2.31", "1/1/32", "<2.31 2/1/32", "error"}},
		"another last block":     {64, 32, ErrProtocol, []string{"0/1/32", "<2.31", "1/0/32", "<2.04 0/0/32", "error"}},
		"reserved SZX":           {100, 32, ErrProtocol, []string{"0/1/32", "<2.31 0/1/2048", "error"}},
	} {
		t.Run(name, func(t *testing.T) {
			u, err := NewUpload(up[:c.n], UploadConfig{BlockSize: c.size})
			if err != nil {
				t.Fatal(err)
			}
			err = script(t, u, up[:c.n], c.lines...)
			var e *Error
			if !errors.Is(err, c.want) || c.want != nil && !errors.As(err, &e) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if c.want != nil {
				if _, again := u.Next(); again != err {
					t.Errorf("then %v", again)
				}
			}
		})
	}
}

// Size1 goes with block 0 of a body that needs several, as far as it is known (§4).
func TestUploadSize1(t *testing.T) {
	for _, c := range []struct {
		u    func() (*Upload, error)
		want int64
	}{
		{func() (*Upload, error) { return NewUpload(body(1, 100), UploadConfig{BlockSize: 64}) }, 100},
		{func() (*Upload, error) { return NewUpload(body(1, 64), UploadConfig{BlockSize: 64}) }, -1},
		{func() (*Upload, error) {
			return NewStreamUpload(FromReader(bytes.NewReader(body(1, 100))), UploadConfig{BlockSize: 64})
		}, -1},
		{func() (*Upload, error) {
			return NewStreamUpload(FromReader(bytes.NewReader(body(1, 100))), UploadConfig{BlockSize: 64, Size: 100})
		}, 100},
	} {
		u, err := c.u()
		if err != nil {
			t.Fatal(err)
		}
		p, _ := u.Next()
		if p.Size1 != c.want {
			t.Errorf("Size1 %d, want %d", p.Size1, c.want)
		}
		if p.Last {
			continue
		}
		u.Response(respond(t, message.Continue, nil))
		if p, _ = u.Next(); p.Size1 != -1 {
			t.Errorf("Size1 %d with the second block", p.Size1)
		}
	}
}

// A body of unknown length arrives as it is, whatever its reader gives at once, and with
// sizes that shrink under way.
func TestStreamUpload(t *testing.T) {
	for _, size := range sizes {
		for name, wrap := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader, "eof with data": iotest.DataErrReader,
		} {
			want := body(size, size)
			s := newSite(t, 256, echo)
			c := newCall(t, message.POST, "x", nil, UploadConfig{}, DownloadConfig{Restarts: -1})
			c.upload, _ = NewStreamUpload(FromReader(wrap(bytes.NewReader(want))), UploadConfig{})
			if err := c.run(s, peerNumber(1), 1000); err != nil || !bytes.Equal(c.body, want) {
				t.Errorf("%s, %d bytes: %v, %d bytes", name, size, err, len(c.body))
			}
		}
	}
}

var errOnce = errors.New("once")

// failsOnce tells an error together with its last bytes, and then no more.
type failsOnce struct{ left int }

func (r *failsOnce) Read(b []byte) (int, error) {
	n := min(len(b), r.left)
	if r.left -= n; r.left > 0 || n == 0 {
		return n, nil
	}
	return n, errOnce
}

// An error of the reader, one that looks like an end included, is never the end of the
// body.
func TestStreamUploadError(t *testing.T) {
	for _, cause := range []error{io.ErrUnexpectedEOF, io.ErrClosedPipe, fmt.Errorf("gone: %w", io.EOF), errOnce} {
		r := io.MultiReader(bytes.NewReader(body(1, 100)), iotest.ErrReader(cause))
		if cause == errOnce {
			r = &failsOnce{left: 65}
		}
		u, _ := NewStreamUpload(FromReader(r), UploadConfig{BlockSize: 64})
		if _, err := u.Next(); err != nil {
			t.Fatal(err)
		}
		u.Response(respond(t, message.Continue, nil))
		_, err := u.Next()
		var e *Error
		if !errors.Is(err, cause) || !errors.As(err, &e) || e.Offset != 64 || e.Block.Num != 1 {
			t.Errorf("%v", err)
		}
	}
	u, _ := NewStreamUpload(func(int) ([]byte, bool, error) { return make([]byte, 7), false, nil }, UploadConfig{})
	if _, err := u.Next(); err == nil {
		t.Error("a short block is taken")
	}
}

// A stream begins again as long as its first block is the newest, and not later.
func TestStreamUploadRestarts(t *testing.T) {
	up := body(1, 300)
	stream := func() *Upload {
		u, _ := NewStreamUpload(FromReader(bytes.NewReader(up)), UploadConfig{BlockSize: 64})
		return u
	}
	script(t, stream(), up, "0/1/64", "<4.08", "0/1/64", "<2.31")
	script(t, stream(), up, "0/1/64", "<4.13 0/0/16", "0/1/16", "<2.31", "1/1/16", "<4.08", "0/1/16",
		"<2.31", "1/1/16", "<2.31", "2/1/16", "<2.31", "3/1/16", "<2.31", "4/1/16", "<4.08", "final")
	script(t, stream(), up, "0/1/64", "<2.31", "1/1/64", "<4.08", "final")
	script(t, stream(), up, "0/1/64", "<2.31", "1/1/64", "<4.13 1/0/16", "final")
}

// 2**20 blocks are as many as there are.
func TestUploadOfTooManyBlocks(t *testing.T) {
	u, _ := NewStreamUpload(func(n int) ([]byte, bool, error) { return make([]byte, n), false, nil }, UploadConfig{BlockSize: 16})
	v := respond(t, message.Continue, nil)
	for range message.MaxBlockNum + 1 {
		if _, err := u.Next(); err != nil {
			t.Fatal(err)
		}
		u.Response(v)
	}
	if _, err := u.Next(); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
}

// A narrow path cuts a block anew that was under way, also the one of a stream that is held,
// and those that follow (RFC 7959 §2.5).
func TestUploadLimit(t *testing.T) {
	whole := bytes.Repeat([]byte("0123456789"), 13) // 130 bytes
	streamed, err := NewStreamUpload(FromReader(bytes.NewReader(whole)), UploadConfig{BlockSize: 64})
	if err != nil {
		t.Fatal(err)
	}
	held, err := NewUpload(whole, UploadConfig{BlockSize: 64})
	if err != nil {
		t.Fatal(err)
	}
	for name, u := range map[string]*Upload{"held": held, "streamed": streamed} {
		script(t, u, whole, "0/1/64", "<2.31 0/1/64", "1/1/64")
		if u.Limit(64) || !u.Limit(63) {
			t.Errorf("%s: 64 bytes are less than 64, or 63 are not", name)
		}
		script(t, u, whole, "2/1/32", "<2.31 2/1/32", "3/1/32", "<2.31 3/1/32", "4/0/32", "<2.04 4/0/32", "final")
	}
}
