package files

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
)

// What clients are told of an error is its kind; the server's own errors are logged, with
// what they say about the machine.
func TestRefusals(t *testing.T) {
	const place = "/srv/lab/a.txt"
	path := func(err error) error {
		return fmt.Errorf("files: %w", &fs.PathError{Op: "open", Path: place, Err: err})
	}
	tests := []struct {
		err    error
		want   message.Code
		logged bool
	}{
		{errReadOnly, message.Forbidden, false},
		{errors.Join(errIncomplete, path(syscall.EIO)), message.RequestEntityIncomplete, false},
		{path(syscall.ENOENT), message.NotFound, false},
		{path(syscall.ENOTDIR), message.NotFound, false},
		{path(syscall.ENAMETOOLONG), message.NotFound, false},
		{path(syscall.EACCES), message.Forbidden, false},
		{path(syscall.EROFS), message.Forbidden, false},
		{path(errors.New("path escapes from parent")), message.Forbidden, false},
		{path(syscall.EMFILE), message.ServiceUnavailable, true},
		{path(syscall.ENOSPC), message.InternalServerError, true},
		{path(syscall.EIO), message.InternalServerError, true},
		{path(fs.ErrClosed), message.InternalServerError, true},
		{errors.New("anything else at " + place), message.InternalServerError, true},
	}
	for _, tt := range tests {
		var log bytes.Buffer
		s := &Server{cfg: Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}}
		rec := coaptest.NewRecorder()
		s.refuse(rec, coaptest.NewRequest(message.PUT, "/a.txt", coap.Body{}), tt.err)
		resp := rec.Result()
		if resp.Code != tt.want || len(resp.Payload()) == 0 || strings.Contains(string(resp.Payload()), "srv") {
			t.Errorf("%v: %v %q", tt.err, resp.Code, resp.Payload())
		}
		if logged := strings.Contains(log.String(), place); logged != tt.logged {
			t.Errorf("%v: log %q", tt.err, log.String())
		}
		if busy := resp.Code == message.ServiceUnavailable; busy != (resp.MaxAge() == time.Second) {
			t.Errorf("%v: Max-Age %v", tt.err, resp.MaxAge())
		}
	}
}
