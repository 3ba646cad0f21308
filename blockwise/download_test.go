package blockwise

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/motewire/coap/message"
)

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

// A Download that is pinned does not begin again.
func TestPin(t *testing.T) {
	d, _ := NewDownload(DownloadConfig{})
	if _, err := downloadScript(t, d, "<2.05 0/1/64 64 etag=1", "1/0/64", "<2.05 1/0/64 6 etag=2", "restart", "<2.05 0/1/64 64 etag=2"); err != nil {
		t.Fatal(err)
	}
	d.Pin()
	if _, err := downloadScript(t, d, "<2.05 1/0/64 6 etag=3"); !errors.Is(err, ErrETagChanged) {
		t.Error(err)
	}
}
