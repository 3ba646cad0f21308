package plugtest

import (
	"slices"
	"strings"
	"testing"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
)

func TestFetch(t *testing.T) {
	const initial = "a=1\nb=2\n"
	xml := coap.Bytes([]byte("a=1"), message.AppXML)
	fetch := func(keys, want string) step {
		return step{method: message.FETCH, path: "/fetch", body: coap.Text(keys), code: message.Content, want: want}
	}
	change := func(method message.Code, lines string, opts ...coap.RequestOption) step {
		return done(method, "/fetch", coap.Text(lines), message.Changed, opts...)
	}
	refuse := func(method message.Code, lines string, code message.Code, opts ...coap.RequestOption) step {
		return refused(method, "/fetch", coap.Text(lines), code, opts...)
	}
	tests := map[string][]step{
		"get and put": {
			get("/fetch", initial),
			change(message.PUT, "x=\ny=1\nx=2"),
			get("/fetch", "x=2\ny=1\n"),
			change(message.PUT, ""),
			get("/fetch", ""),
			refuse(message.PUT, "\n", message.BadRequest),
			refuse(message.PUT, "x=1\ny", message.BadRequest),
			refuse(message.PUT, "x+=1", message.BadRequest),
			refused(message.GET, "/fetch", none, message.NotAcceptable, coap.Accept(message.AppJSON)),
			refuse(message.POST, "x=1", message.MethodNotAllowed),
		},
		"fetch": {
			fetch("b", "b=2\n"), fetch("b\na\n", initial), fetch("c\nb\nb", "b=2\n"), fetch("", ""), fetch("c", ""),
			refuse(message.FETCH, "a", message.NotAcceptable, coap.Accept(message.AppJSON)),
		},
		"ipatch": {
			change(message.IPATCH, "b=3\nc=4"),
			get("/fetch", "a=1\nb=3\nc=4\n"),
			refuse(message.IPATCH, "a+=1", message.UnprocessableEntity),
			refuse(message.IPATCH, "a=9\nb", message.UnprocessableEntity),
			refuse(message.IPATCH, "=9", message.UnprocessableEntity),
			refuse(message.IPATCH, "a=9=9", message.UnprocessableEntity),
			refuse(message.IPATCH, "a\n\nb", message.UnprocessableEntity),
			get("/fetch", "a=1\nb=3\nc=4\n"),
		},
		"patch": {
			change(message.PATCH, "a+=-5\nb=x\nn+=7\na+=1\n"),
			get("/fetch", "a=-3\nb=x\nn=7\n"),
			refuse(message.PATCH, "a=0\nb+=1", message.Conflict),
			refuse(message.PATCH, "a=0\na+=x", message.UnprocessableEntity),
			refuse(message.PATCH, "a+b=1", message.UnprocessableEntity),
			get("/fetch", "a=-3\nb=x\nn=7\n"),
			change(message.PATCH, "a=9223372036854775807\na+=1"),
			get("/fetch", "a=9223372036854775808\nb=x\nn=7\n"),
		},
		"formats": {
			refused(message.PUT, "/fetch", xml, message.UnsupportedContentFormat),
			refused(message.FETCH, "/fetch", xml, message.UnsupportedContentFormat),
			refused(message.PATCH, "/fetch", xml, message.UnsupportedContentFormat),
			refused(message.IPATCH, "/fetch", xml, message.UnsupportedContentFormat),
			refused(message.PUT, "/fetch", coap.Raw([]byte("a=1")), message.BadRequest),
			refused(message.FETCH, "/fetch", coap.Raw([]byte("a")), message.BadRequest),
			refused(message.PATCH, "/fetch", coap.Raw([]byte("a=1")), message.BadRequest),
			refused(message.IPATCH, "/fetch", none, message.BadRequest),
			get("/fetch", initial),
		},
		"preconditions": {
			refuse(message.IPATCH, "a=2", message.PreconditionFailed, coap.IfMatch([]byte{1})),
			refuse(message.IPATCH, "a=2", message.PreconditionFailed, coap.IfNoneMatch),
			refused(message.PATCH, "/fetch", xml, message.PreconditionFailed, coap.IfMatch([]byte{1})),
			change(message.IPATCH, "a=2", coap.IfMatch(nil)),
			get("/fetch", "a=2\nb=2\n"),
		},
		"bounded": {
			change(message.PUT, "x="+strings.Repeat("1", maxBody-3)),
			refuse(message.PATCH, "y=1", message.RequestEntityTooLarge),
			refuse(message.PUT, "x="+strings.Repeat("1", maxBody), message.RequestEntityTooLarge),
			change(message.PATCH, "x=1\ny=1"),
			get("/fetch", "x=1\ny=1\n"),
		},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			for _, st := range steps {
				st.run(t, s)
			}
		})
	}
}

func TestFetchETag(t *testing.T) {
	s := start(t)
	tag := etag(t, get("/fetch", anyPayload).run(t, s))
	done(message.GET, "/fetch", none, message.Valid, coap.ETag(tag)).run(t, s)
	done(message.IPATCH, "/fetch", coap.Text("a=2"), message.Changed, coap.IfMatch(tag)).run(t, s)
	if next := etag(t, get("/fetch", anyPayload, coap.ETag(tag)).run(t, s)); slices.Equal(next, tag) {
		t.Errorf("ETag %x stays when the document changes", tag)
	}
	resp := step{method: message.FETCH, path: "/fetch", body: coap.Text("a"), code: message.Content, want: "a=2\n"}.run(t, s)
	if tag, ok := resp.ETag(); ok {
		t.Errorf("FETCH: ETag %v", tag)
	}
}
