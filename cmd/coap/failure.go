package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"github.com/motewire/coap"
)

// requestError gives an error of a request under ctx its exit status and a line that says
// what to do.
func requestError(ctx context.Context, err error) error {
	var status *statusError
	switch {
	case errors.As(err, &status): // ours, from opening the socket
		return status
	case errors.Is(ctx.Err(), context.Canceled) && !errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return &statusError{status: exitInterrupted}
	case errors.Is(err, coap.ErrURL), errors.Is(err, coap.ErrOption), errors.Is(err, coap.ErrTooLarge):
		return usageErrorf("%s", libraryText(err))
	}
	number := networkStatus(err)
	text := libraryText(err)
	if lookup := (*net.DNSError)(nil); errors.As(err, &lookup) {
		text = fmt.Sprintf("%s: %s", lookup.Name, lookup.Err)
	}
	if hint := failureHint(err); hint != "" {
		text += "; " + hint
	}
	return &statusError{number, errors.New(text)}
}

// networkStatus returns the exit status of a request that failed on its way.
func networkStatus(err error) int {
	var lookup *net.DNSError
	switch {
	case errors.Is(err, coap.ErrTimeout), errors.Is(err, coap.ErrResponseTimeout), errors.Is(err, coap.ErrUnreachable),
		errors.Is(err, context.DeadlineExceeded), errors.As(err, &lookup):
		return exitTimeout
	case errors.Is(err, coap.ErrReset), errors.Is(err, coap.ErrCriticalOption), errors.Is(err, coap.ErrBlockProtocol),
		errors.Is(err, coap.ErrBlockIncomplete), errors.Is(err, coap.ErrETagChanged):
		return exitProtocol
	}
	return exitIO
}

// failureHint says what to try.
func failureHint(err error) string {
	var lookup *net.DNSError
	switch {
	case errors.As(err, &lookup):
		return "check the name, or write an address"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nobody listens on that port: check host and port"
	case errors.Is(err, coap.ErrUnreachable):
		return "check host and network"
	case errors.Is(err, coap.ErrTimeout):
		return "check host and port, or allow more with --retries and --ack-timeout"
	case errors.Is(err, coap.ErrResponseTimeout), errors.Is(err, context.DeadlineExceeded):
		return "allow more time with -B SECONDS"
	case errors.Is(err, coap.ErrETagChanged):
		return "the resource changed meanwhile: try again"
	case errors.Is(err, coap.ErrReset):
		return "the peer takes no such message: is it a CoAP server?"
	}
	return ""
}

// libraryText returns the text of an error without the names of packages.
func libraryText(err error) string {
	text := strings.TrimPrefix(err.Error(), "coap: ")
	for _, name := range []string{"coap", "blockwise", "message", "reliability", "transport"} {
		text = strings.ReplaceAll(text, ": "+name+": ", ": ")
	}
	return text
}
