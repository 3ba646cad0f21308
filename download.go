package coap

import (
	"fmt"
	"io"

	"github.com/motewire/coap/blockwise"
)

// A remainder is the body of a response that takes more than its message.
type remainder struct {
	transfer *clientTransfer // nil: no more can be fetched
	block    []byte          // what is here and was not read
	err      error           // behind block; nil: there is more to fetch
}

// Read reads what is here, and fetches the next block where nothing is.
func (k *remainder) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for len(k.block) == 0 {
		if k.err != nil {
			return 0, k.err
		}
		k.transfer.download.Pin() // bytes were given out
		chunk, _, err := k.transfer.fetch()
		k.took(chunk, err)
		k.block = chunk.Payload
	}
	n := copy(b, k.block)
	k.block = k.block[n:]
	return n, nil
}

// took notes how it goes on behind a chunk.
func (k *remainder) took(chunk blockwise.Chunk, err error) {
	switch {
	case err != nil:
		k.err = err
	case chunk.Done:
		k.err = io.EOF
	}
}

// believedBytes is for how much of a body memory is taken because its Size2 says so.
const believedBytes = 1 << 20

// all fetches and returns the rest of the body of r.
func (k *remainder) all(r *Response) ([]byte, error) {
	if k.err == nil && len(k.block) < len(r.view.Payload()) {
		k.transfer.download.Pin()
	}
	size, known := r.view.Size2()
	if known && k.err == nil {
		k.limit(int64(size))
	}
	body := make([]byte, 0, max(len(k.block), min(int(size), believedBytes)))
	body = append(body, k.block...)
	k.block = nil
	if k.err == nil {
		k.transfer.message.call.lease = k.transfer.shard.borrow(k.transfer.ctx)
		defer k.transfer.endLease()
	}
	anew := false // the next block is the first of another representation
	for k.err == nil {
		chunk, resp, err := k.transfer.fetch()
		k.took(chunk, err)
		switch {
		case err != nil:
		case chunk.Restart:
			body, anew = body[:0], true
		case anew && resp.Code != r.Code:
			k.err = k.transfer.failed(k.transfer.download.Where(fmt.Errorf("%w: then %v", ErrBlockIncomplete, resp.Code)))
		default:
			if anew {
				r.view, r.peer, anew = resp.view, resp.peer, false
			}
			body = append(body, chunk.Payload...)
			k.limit(int64(len(body)))
		}
	}
	if k.err != io.EOF { //nolint:errorlint // our own
		return nil, k.err
	}
	return body, nil
}

// limit fails a body of more bytes than may be held.
func (k *remainder) limit(size int64) {
	most := k.transfer.shard.core.responses
	if size > int64(most) {
		where := k.transfer.download.Where(ErrTooLarge)
		where.Want, where.Got = fmt.Sprintf("at most %d bytes", most), fmt.Sprintf("%d or more", size)
		k.err = k.transfer.failed(where)
	}
}
