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

// An error of the reader, one that looks like an end included, is never the end of the
// body.
func TestStreamUploadError(t *testing.T) {
	for _, cause := range []error{io.ErrUnexpectedEOF, io.ErrClosedPipe} {
		r := io.MultiReader(bytes.NewReader(body(1, 100)), iotest.ErrReader(cause))
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

// A downloadScript plays a Download against responses that a test writes down:
//
//	"-", "1/0/64"                    what Next must say
//	"<2.05 0/1/64 64 etag=1 ct=0 size2=9"  a response with Block2 and so many bytes
//	"done", "restart", "error"       what Add says to it; nothing where it goes on
func downloadScript(t *testing.T, d *Download, lines ...string) (got int, err error) {
	t.Helper()
	var c Chunk
	for i, line := range lines {
		switch {
		case line == "done":
			if !c.Done || err != nil {
				t.Fatalf("line %d: %+v, %v", i, c, err)
			}
		case line == "restart":
			if !c.Restart || err != nil {
				t.Fatalf("line %d: %+v, %v", i, c, err)
			}
			c.Restart = false
		case line == "error":
			if err == nil {
				t.Fatalf("line %d: no error", i)
			}
		case err != nil || c.Done || c.Restart:
			t.Fatalf("line %d: %+v, %v", i, c, err)
		case line[0] == '<':
			c, err = d.Add(scriptedResponse(t, line[1:]))
			got = c.Offset + len(c.Payload)
		default:
			next := "-"
			if b, asks := d.Next(); asks {
				next = b.String()
			}
			if next != line {
				t.Fatalf("line %d: asks for %s, want %s", i, next, line)
			}
		}
	}
	return got, err
}

func scriptedResponse(t *testing.T, line string) *message.View {
	t.Helper()
	var n int
	f := strings.Fields(line)
	code, _ := message.ParseCode(f[0])
	var options []message.Option
	if f[1] != "-" {
		options = append(options, textBlock(message.Block2, f[1]))
	}
	fmt.Sscan(f[2], &n)
	for _, o := range f[3:] {
		name, value, _ := strings.Cut(o, "=")
		var number uint32
		fmt.Sscan(value, &number)
		switch name {
		case "etag":
			options = append(options, message.Option{Number: message.ETag, Value: []byte(value)})
		case "ct":
			options = append(options, uintOption(message.ContentFormat, number))
		case "size2":
			options = append(options, uintOption(message.Size2, number))
		case "block1":
			options = append(options, blockOption(message.Block1, int(number), false, 64))
		}
	}
	return respond(t, code, make([]byte, n), options...)
}

func TestDownloadScripts(t *testing.T) {
	late := DownloadConfig{BlockSize: 32, Late: true}
	wish := DownloadConfig{BlockSize: 64}
	for name, c := range map[string]struct {
		cfg   DownloadConfig
		bytes int
		want  error
		lines []string
	}{
		"one message":        {DownloadConfig{}, 9, nil, []string{"-", "<2.05 - 9", "done"}},
		"nothing":            {wish, 0, nil, []string{"0/0/64", "<2.05 - 0", "done"}},
		"one block":          {wish, 9, nil, []string{"0/0/64", "<2.05 0/0/64 9", "done"}},
		"three blocks":       {DownloadConfig{}, 150, nil, []string{"-", "<2.05 0/1/64 64", "1/0/64", "1/0/64", "<2.05 1/1/64 64", "2/0/64", "<2.05 2/0/64 22", "done"}},
		"empty last block":   {wish, 64, nil, []string{"0/0/64", "<2.05 0/1/64 64", "1/0/64", "<2.05 1/0/64 0", "done"}},
		"late negotiation":   {late, 70, nil, []string{"-", "<2.05 0/1/64 64", "2/0/32", "<2.05 2/0/32 6", "done"}},
		"server shrinks":     {wish, 130, nil, []string{"0/0/64", "<2.05 0/1/64 64", "1/0/64", "<2.05 4/1/16 16", "5/0/16", "<2.05 5/1/16 16", "6/0/16", "<2.05 6/0/16 34", "done"}},
		"server ignores":     {wish, 256, nil, []string{"0/0/64", "<2.05 0/1/128 128", "2/0/64", "<2.05 1/0/128 128", "done"}},
		"an error":           {wish, 5, nil, []string{"0/0/64", "<4.04 - 5", "done"}},
		"a large error":      {DownloadConfig{}, 70, nil, []string{"-", "<5.00 0/1/64 64", "1/0/64", "<5.00 1/0/64 6", "done"}},
		"Block1 is not ours": {wish, 70, nil, []string{"0/0/64", "<2.04 0/1/64 64 block1=5", "1/0/64", "<2.04 1/0/64 6 block1=5", "done"}},
		"random access":      {DownloadConfig{BlockSize: 64, Start: 3}, 230, nil, []string{"3/0/64", "<2.05 6/1/32 32", "7/0/32", "<2.05 7/0/32 6", "done"}},
		"random access, end": {DownloadConfig{BlockSize: 64, Start: 3}, 198, nil, []string{"3/0/64", "<2.05 3/0/64 6", "done"}},
		"random access, beyond": {DownloadConfig{BlockSize: 64, Start: 3}, 5, nil,
			[]string{"3/0/64", "<4.00 - 5", "done"}},
		"random access, default size": {DownloadConfig{Start: 3}, 3078, nil, []string{"3/0/1024", "<2.05 3/0/1024 6", "done"}},
		"random access, ignored":      {DownloadConfig{BlockSize: 64, Start: 3}, 0, ErrProtocol, []string{"3/0/64", "<2.05 - 9", "error"}},

		"format left out later": {wish, 70, nil, []string{"0/0/64", "<2.05 0/1/64 64 ct=50", "1/0/64", "<2.05 1/0/64 6", "done"}},
		"other format":          {wish, 0, ErrProtocol, []string{"0/0/64", "<2.05 0/1/64 64 ct=50", "1/0/64", "<2.05 1/0/64 6 ct=0", "error"}},
		"other code":            {wish, 0, ErrProtocol, []string{"0/0/64", "<2.05 0/1/64 64", "1/0/64", "<2.04 1/0/64 6", "error"}},
		"other block":           {wish, 0, ErrProtocol, []string{"0/0/64", "<2.05 0/1/64 64", "1/0/64", "<2.05 2/0/64 6", "error"}},
		"block 0 again":         {wish, 0, ErrProtocol, []string{"0/0/64", "<2.05 0/1/64 64", "1/0/64", "<2.05 0/1/64 64", "error"}},
		"no block":              {wish, 0, ErrProtocol, []string{"0/0/64", "<2.05 0/1/64 64", "1/0/64", "<2.05 - 6", "error"}},
		"other first block":     {wish, 0, ErrProtocol, []string{"0/0/64", "<2.05 1/1/64 64", "error"}},
		"short block":           {wish, 0, ErrProtocol, []string{"0/0/64", "<2.05 0/1/64 63", "error"}},
		"long block":            {wish, 0, ErrProtocol, []string{"0/0/64", "<2.05 0/1/64 65", "error"}},
		"reserved SZX":          {wish, 0, ErrProtocol, []string{"0/0/64", "<2.05 0/1/2048 64", "error"}},
		"reserved SZX, last":    {wish, 0, ErrProtocol, []string{"0/0/64", "<2.05 0/0/2048 6", "error"}},
		"error later":           {wish, 0, ErrIncomplete, []string{"0/0/64", "<2.05 0/1/64 64", "1/0/64", "<4.04 - 0", "error"}},

		"Size2 tells":    {DownloadConfig{Limit: 99}, 0, ErrTooLarge, []string{"-", "<2.05 0/1/64 64 size2=100", "error"}},
		"the sum tells":  {DownloadConfig{Limit: 99}, 0, ErrTooLarge, []string{"-", "<2.05 0/1/64 64", "1/0/64", "<2.05 1/0/64 36", "error"}},
		"M tells":        {DownloadConfig{Limit: 64}, 0, ErrTooLarge, []string{"-", "<2.05 0/1/64 64", "error"}},
		"at the limit":   {DownloadConfig{Limit: 99}, 99, nil, []string{"-", "<2.05 0/1/64 64 size2=99", "1/0/64", "<2.05 1/0/64 35", "done"}},
		"single message": {DownloadConfig{Limit: 99}, 0, ErrTooLarge, []string{"-", "<2.05 - 100", "error"}},

		"ETag changes":     {wish, 70, nil, []string{"0/0/64", "<2.05 0/1/64 64 etag=1", "1/0/64", "<2.05 1/0/64 6 etag=2", "restart", "0/0/64", "<2.05 0/1/64 64 etag=2", "1/0/64", "<2.05 1/0/64 6 etag=2", "done"}},
		"ETag vanishes":    {wish, 0, nil, []string{"0/0/64", "<2.05 0/1/64 64 etag=1", "1/0/64", "<2.05 1/0/64 6", "restart"}},
		"ETag appears":     {wish, 0, nil, []string{"0/0/64", "<2.05 0/1/64 64", "1/0/64", "<2.05 1/0/64 6 etag=1", "restart"}},
		"fits then":        {wish, 6, nil, []string{"0/0/64", "<2.05 0/1/64 64 etag=1", "1/0/64", "<2.05 - 6 etag=2", "restart", "0/0/64", "<2.05 - 6 etag=2", "done"}},
		"gone then":        {wish, 0, nil, []string{"0/0/64", "<2.05 0/1/64 64 etag=1", "1/0/64", "<4.08 - 0", "restart", "0/0/64", "<4.04 - 0", "done"}},
		"late, then not":   {late, 32, nil, []string{"-", "<2.05 0/1/64 64", "2/0/32", "<4.00 - 0", "restart", "0/0/32", "<2.05 0/1/32 32"}},
		"no restart":       {DownloadConfig{Restarts: -1}, 0, ErrETagChanged, []string{"-", "<2.05 0/1/64 64 etag=1", "1/0/64", "<2.05 1/0/64 6 etag=2", "error"}},
		"gone, no restart": {DownloadConfig{Restarts: -1}, 0, ErrIncomplete, []string{"-", "<2.05 0/1/64 64 etag=1", "1/0/64", "<4.08 - 0", "error"}},
		"ETag changes twice": {DownloadConfig{Restarts: 1}, 0, ErrETagChanged, []string{"-", "<2.05 0/1/64 64 etag=1", "1/0/64", "<2.05 1/0/64 6 etag=2", "restart", "0/0/64",
			"<2.05 0/1/64 64 etag=2", "1/0/64", "<2.05 1/0/64 6 etag=3", "error"}},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := NewDownload(c.cfg)
			if err != nil {
				t.Fatal(err)
			}
			got, err := downloadScript(t, d, c.lines...)
			var e *Error
			if !errors.Is(err, c.want) || c.want != nil && !errors.As(err, &e) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if got != c.bytes && err == nil && c.bytes > 0 {
				t.Errorf("%d bytes, want %d", got, c.bytes)
			}
			if c.want != nil {
				if _, again := d.Add(scriptedResponse(t, "2.05 - 0")); again != err {
					t.Errorf("then %v", again)
				}
			}
		})
	}
}

// A download cannot ask for more than 2**20 blocks.
func TestDownloadOfTooManyBlocks(t *testing.T) {
	d, _ := NewDownload(DownloadConfig{BlockSize: 16, Start: message.MaxBlockNum})
	_, err := d.Add(respond(t, message.Content, make([]byte, 16), blockOption(message.Block2, message.MaxBlockNum, true, 16)))
	if !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
}

// The typed error says which block, what was expected and what came.
func TestErrorText(t *testing.T) {
	d, _ := NewDownload(DownloadConfig{Restarts: -1})
	_, err := downloadScript(t, d, "<2.05 0/1/64 64 etag=1", "<2.05 1/0/64 6 etag=2")
	want := "blockwise: representation changed at block 1/0/64, byte 64: want ETag 31, got ETag 32"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	d, _ = NewDownload(DownloadConfig{})
	_, err = downloadScript(t, d, "<2.05 0/1/64 64", "<2.04 1/0/64 6")
	if err == nil || !strings.HasSuffix(err.Error(), "want 2.05, got 2.04") {
		t.Error(err)
	}
	u, _ := NewUpload(body(1, 100), UploadConfig{BlockSize: 64})
	u.Next()
	cause := errors.New("too late")
	if err := u.Where(cause); err.Error() != "too late at block 0/1/64, byte 0" || !errors.Is(err, cause) {
		t.Error(err)
	}
}
