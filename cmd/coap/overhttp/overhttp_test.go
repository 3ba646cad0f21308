package overhttp

import (
	"slices"
	"testing"
	"time"

	"github.com/motewire/coap/message"
)

// view returns a message with options in ascending order.
func view(t *testing.T, typ message.Type, code message.Code, payload string, options ...message.Option) *message.View {
	t.Helper()
	e := message.AppendHeader(nil, typ, code, 1, message.Token{})
	for _, o := range options {
		e.Option(o.Number, o.Value)
	}
	b, err := e.Finish([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	v := new(message.View)
	if err := v.Parse(b); err != nil {
		t.Fatal(err)
	}
	return v
}

func option(n message.OptionNumber, value string) message.Option {
	return message.Option{Number: n, Value: []byte(value)}
}

func TestRequest(t *testing.T) {
	tests := []struct {
		v    *message.View
		want string
	}{
		{
			view(t, message.Confirmable, message.GET, "", option(message.URIPath, "a b"), option(message.URIQuery, "u=C"), option(message.Accept, "\x32")),
			"GET /a%20b?u=C HTTP/1.1\r\nHost: h:1\r\nAccept: application/json\r\n\r\n",
		},
		{
			view(t, message.Confirmable, message.PUT, "on", option(message.URIPath, "led"), option(message.ContentFormat, "")),
			"PUT /led HTTP/1.1\r\nHost: h:1\r\nContent-Length: 2\r\nContent-Type: text/plain; charset=utf-8\r\n\r\non",
		},
		{view(t, message.Confirmable, message.DELETE, ""), "DELETE / HTTP/1.1\r\nHost: h:1\r\n\r\n"},
	}
	for _, tt := range tests {
		if got, err := Request(tt.v, "h:1"); err != nil || string(got) != tt.want {
			t.Errorf("%q, %v\nwant %q", got, err, tt.want)
		}
	}
}

func TestResponse(t *testing.T) {
	const date = "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
	tests := []struct {
		v    *message.View
		want string
	}{
		{
			view(t, message.Acknowledgement, message.Content, "21.5", option(message.ETag, "\x01"), option(message.ContentFormat, ""), option(message.MaxAge, "\x02")),
			"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nCache-Control: max-age=2\r\nContent-Type: text/plain; charset=utf-8\r\n" + date + "Etag: \"01\"\r\n\r\n21.5",
		},
		{
			view(t, message.Acknowledgement, message.Created, "", option(message.LocationPath, "r"), option(message.LocationPath, "1")),
			"HTTP/1.1 201 Created\r\n" + date + "Location: /r/1\r\nContent-Length: 0\r\n\r\n",
		},
		{view(t, message.Acknowledgement, message.Changed, ""), "HTTP/1.1 204 No Content\r\n" + date + "\r\n"},
		{view(t, message.Acknowledgement, message.Valid, ""), "HTTP/1.1 304 Not Modified\r\n" + date + "\r\n"},
		{
			view(t, message.Acknowledgement, message.BadRequest, "no"),
			"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\nContent-Type: text/plain; charset=utf-8\r\n" + date + "\r\nno",
		},
		{view(t, message.Acknowledgement, message.NotFound, ""), "HTTP/1.1 404 Not Found\r\n" + date + "Content-Length: 0\r\n\r\n"},
		{view(t, message.Acknowledgement, message.MethodNotAllowed, ""), "HTTP/1.1 405 Method Not Allowed\r\n" + date + "Content-Length: 0\r\n\r\n"},
	}
	for _, tt := range tests {
		if got, err := Response(tt.v, time.Unix(0, 0)); err != nil || string(got) != tt.want {
			t.Errorf("%q, %v\nwant %q", got, err, tt.want)
		}
	}
}

// RFC 8075 §7, Table 2.
func TestStatuses(t *testing.T) {
	for code, want := range map[message.Code][]int{
		message.Created: {201}, message.Deleted: {204, 200}, message.Valid: {304, 200}, message.Content: {200},
		message.Continue: nil, message.Unauthorized: {403}, message.NotFound: {404}, message.RequestEntityTooLarge: {413},
		message.RequestEntityIncomplete: nil, message.TooManyRequests: {429}, message.ProxyingNotSupported: {502},
		message.HopLimitReached: {508}, message.GET: nil, message.Empty: nil,
	} {
		if got := Statuses(code); !slices.Equal(got, want) {
			t.Errorf("%v: %v, want %v", code, got, want)
		}
	}
}
