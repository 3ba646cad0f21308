package demo

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/motewire/coap/message"
)

// The same exchange over HTTP/1.1: what net/http writes for it, with the mapping of
// RFC 8075. A client has to send Host, and a server with a clock Date (RFC 9110 §7.2,
// §6.6.1); neither names itself by User-Agent or Server, which would be usual.

// requestTarget returns path and query of a request, percent-encoded.
func requestTarget(v *message.View) string {
	var b strings.Builder
	for segment := range v.PathSegments() {
		b.WriteString("/" + url.PathEscape(string(segment)))
	}
	if b.Len() == 0 {
		b.WriteByte('/')
	}
	separator := "?"
	for q := range v.Queries() {
		b.WriteString(separator + string(q))
		separator = "&"
	}
	return b.String()
}

// httpRequest returns the bytes of the HTTP request that says what v says.
func httpRequest(v *message.View, host string) ([]byte, error) {
	r, err := http.NewRequest(v.Code().Name(), "http://"+host+requestTarget(v), bytes.NewReader(v.Payload()))
	if err != nil {
		return nil, err
	}
	r.Header.Set("User-Agent", "") // else net/http's own
	if f, ok := v.ContentFormat(); ok {
		r.Header.Set("Content-Type", mediaType(f))
	}
	if f, ok := v.Accept(); ok {
		r.Header.Set("Accept", mediaType(f))
	}
	var b bytes.Buffer
	err = r.Write(&b)
	return b.Bytes(), err
}

// httpResponse returns the bytes of the HTTP response that says what v says.
func httpResponse(v *message.View, now time.Time) ([]byte, error) {
	r := &http.Response{
		StatusCode: httpStatus(v), ProtoMajor: 1, ProtoMinor: 1,
		Header:        http.Header{"Date": {now.UTC().Format(http.TimeFormat)}},
		ContentLength: int64(len(v.Payload())),
		Body:          io.NopCloser(bytes.NewReader(v.Payload())),
	}
	switch f, ok := v.ContentFormat(); {
	case ok:
		r.Header.Set("Content-Type", mediaType(f))
	case len(v.Payload()) > 0: // a diagnostic payload (RFC 7252 §5.5.2)
		r.Header.Set("Content-Type", mediaType(message.TextPlain))
	}
	if location, ok := v.Location(); ok {
		r.Header.Set("Location", location)
	}
	if tag, ok := v.ETag(); ok {
		r.Header.Set("ETag", fmt.Sprintf(`"%x"`, tag.Append(nil)))
	}
	if age, ok := v.MaxAge(); ok {
		r.Header.Set("Cache-Control", fmt.Sprintf("max-age=%d", int(age.Seconds())))
	}
	var b bytes.Buffer
	err := r.Write(&b)
	return b.Bytes(), err
}

// httpStatus returns the status code for a response code (RFC 8075 §7).
func httpStatus(v *message.View) int {
	switch c := v.Code(); {
	case c == message.Created:
		return http.StatusCreated
	case c == message.Valid:
		return http.StatusNotModified
	case c.IsSuccess() && len(v.Payload()) == 0 && c != message.Content:
		return http.StatusNoContent
	case c.IsSuccess():
		return http.StatusOK
	case c == message.BadOption:
		return http.StatusBadRequest
	default: // 4.04 is 404
		return int(c.Class())*100 + int(c.Detail())
	}
}

func mediaType(f message.Format) string {
	info, registered := f.Info()
	if !registered {
		return "application/octet-stream"
	}
	return info.MediaType
}
