package blockwise

import (
	"fmt"
	"io"

	"github.com/motewire/coap/message"
)

// A Source gives the next bytes of a body: n of them, or fewer with last where the body
// ends; last also where it ends with exactly n. The bytes are read until the next call.
type Source func(n int) (block []byte, last bool, err error)

// FromReader returns a Source that reads r, one byte ahead to know where it ends. It gives
// at most 1,024 bytes at once.
func FromReader(r io.Reader) Source {
	var buf [1025]byte
	ahead := 0 // how many bytes in buf were not given yet: 0 or 1
	var next byte
	var failed error // of r, together with the byte ahead
	return func(n int) ([]byte, bool, error) {
		n = min(n, len(buf)-1)
		buf[0] = next
		for got := ahead; ; {
			read, err := 0, failed
			if err == nil {
				read, err = r.Read(buf[got : n+1])
			}
			if got += read; got == n+1 {
				ahead, next, failed = 1, buf[n], err
				return buf[:n], false, nil
			}
			if err == io.EOF { //nolint:errorlint // one that wraps it is no end of the body
				ahead = 0
				return buf[:got], true, nil
			}
			if err != nil {
				return nil, false, err
			}
		}
	}
}

// UploadConfig holds the wishes of an [Upload]. Zero means the default.
type UploadConfig struct {
	// BlockSize is the greatest block size in bytes: a power of two from 16 to 1024.
	// Default 1024.
	BlockSize int
	// Restarts is how often the upload begins again after 4.08. Default 1; negative: never.
	Restarts int
	// Size is the length in bytes of the body of NewStreamUpload, sent as Size1. Zero: not
	// known.
	Size int64
}

// An Upload slices the body of one request into blocks (RFC 7959 §2.5). One goroutine
// owns it.
type Upload struct {
	szx      uint8
	restarts int
	size     int64 // of the body, -1: not known
	next     Source
	offset   int    // of the block under way
	kept     []byte // the body from keptAt on, as far as it is here
	keptAt   int
	last     bool // nothing comes after kept
	part     Part // under way
	asked    int  // how often Next has said so
	failed   error
}

// A Part is what one request carries of the body.
type Part struct {
	Block1    message.Block
	Blockwise bool   // Block1 goes into the request
	Payload   []byte // valid until the next call of Response
	// Size1 is the length of the whole body in bytes, which goes into the request as
	// Size1 where it is not negative.
	Size1 int64
	// Last says that the response to this part is the response to the request: a wish for
	// Block2 goes with it (RFC 7959 §3.3).
	Last bool
}

// NewUpload returns an Upload of body, which nobody may write to until it is over. Its
// error wraps ErrConfig.
func NewUpload(body []byte, cfg UploadConfig) (*Upload, error) {
	u, err := NewStreamUpload(nil, cfg)
	if err != nil {
		return nil, err
	}
	u.kept, u.last, u.size = body, true, int64(len(body))
	return u, nil
}

// NewStreamUpload returns an Upload of a body that is fetched block by block. One block
// is kept, so it cannot begin again once the second one is under way. Its error wraps
// ErrConfig.
func NewStreamUpload(next Source, cfg UploadConfig) (*Upload, error) {
	orDefault(&cfg.BlockSize, DefaultBlockSize)
	orDefault(&cfg.Restarts, 1)
	szx, ok := message.SZXForSize(cfg.BlockSize)
	if !ok {
		return nil, fmt.Errorf("%w: BlockSize %d", ErrConfig, cfg.BlockSize)
	}
	u := &Upload{szx: szx, restarts: cfg.Restarts, next: next, size: cfg.Size}
	if u.size <= 0 {
		u.size = -1
	}
	return u, nil
}

// Next returns what the next request carries: the same until a response has come. Its
// errors are an [*Error] around that of the Source or ErrTooLarge, and are final.
func (u *Upload) Next() (Part, error) {
	if u.failed != nil {
		return Part{}, u.failed
	}
	size := 16 << u.szx
	u.part = Part{Size1: -1, Block1: message.Block{Num: uint32(u.offset >> (u.szx + 4)), SZX: u.szx}}
	if u.failed = u.pull(size); u.failed != nil {
		return Part{}, u.failed
	}
	rest := u.kept[u.offset-u.keptAt:]
	u.part.Payload = rest[:min(size, len(rest))]
	u.part.Last = u.last && len(rest) <= size
	u.part.Block1.More = !u.part.Last
	u.part.Blockwise = !u.part.Last || u.offset > 0
	if u.offset == 0 && !u.part.Last {
		u.part.Size1 = u.size // §4: "preferably with the first block exchanged"
	}
	u.asked++
	return u.part, nil
}

// pull fetches the next block where it is not here.
func (u *Upload) pull(size int) error {
	if u.offset>>(u.szx+4) > message.MaxBlockNum {
		return u.Where(ErrTooLarge)
	}
	if u.last || u.offset < u.keptAt+len(u.kept) {
		return nil
	}
	block, last, err := u.next(size)
	if err != nil {
		return u.Where(err)
	}
	if len(block) > size || !last && len(block) < size {
		return u.Where(io.ErrShortBuffer)
	}
	u.kept, u.keptAt, u.last = block, u.offset, last
	return nil
}

// Response takes the response to the last Part. It reports true where that is the final
// one, an error response included, and false where Next has more to send. Its error, an
// [*Error] around ErrProtocol, is final.
func (u *Upload) Response(v *message.View) (final bool, err error) {
	if u.failed != nil {
		return false, u.failed
	}
	resent := u.asked > 1
	u.asked = 0
	b, echoed := v.Block1()
	if echoed && u.part.Blockwise && (!b.Valid() || b.Num != u.part.Block1.Num && b.Offset() != u.offset) {
		return false, u.violation("Block1 "+u.part.Block1.String(), "Block1 "+b.String())
	}
	switch code := v.Code(); {
	case code == message.Continue:
		if u.part.Last {
			return false, u.violation("a final response", code.String())
		}
		u.advance(b, echoed)
		return false, nil
	case code == message.RequestEntityIncomplete:
		return !u.restart(resent), nil
	case code == message.RequestEntityTooLarge:
		size1, limited := v.Size1()
		return limited && int64(size1) < u.size || !u.shrink(b, echoed), nil
	case code.IsSuccess() && !u.part.Last:
		// §2.3: "the block-wise request was enacted now specifically for this block [...] the
		// client is still expected to continue sending further blocks".
		if !echoed {
			return false, u.violation("2.31 with Block1", code.String())
		}
		u.advance(b, echoed)
		return false, nil
	}
	return true, nil
}

// advance goes on behind the block under way, in the block size that the server prefers
// (§2.5).
func (u *Upload) advance(b message.Block, echoed bool) {
	u.offset += len(u.part.Payload)
	if echoed {
		u.szx = min(u.szx, b.SZX)
	}
}

// restart begins again after 4.08, and reports false where that cannot be: the blocks are
// no longer here, or it was tried often enough. Nor is it where the last block was sent
// more than once: the first one may have had its effect.
func (u *Upload) restart(resent bool) bool {
	if !u.part.Blockwise || u.keptAt > 0 || u.restarts <= 0 || u.part.Last && resent {
		return false
	}
	u.restarts--
	u.offset = 0
	return true
}

// Limit makes the blocks that Next cuts from now on no larger than so many bytes, 16 at
// least: the path to the server takes no longer messages (RFC 7252 §4.6). It reports false
// where they are not.
func (u *Upload) Limit(bytes int) bool {
	szx := SZXWithin(bytes)
	if szx >= u.szx {
		return false
	}
	u.szx = szx
	return true
}

// shrink begins again with smaller blocks after 4.13, and reports false where that was
// not meant or cannot be. §2.9.3: "a 4.13 response to a request with a Block1 Option [...]
// where the response carries a smaller SZX in its Block1 Option is a hint to try that
// smaller SZX", and one to a request without "a hint for the client to try sending Block1".
func (u *Upload) shrink(b message.Block, echoed bool) bool {
	szx := b.SZX
	switch {
	case u.keptAt > 0:
		return false
	case u.part.Blockwise:
		if !echoed || szx >= u.szx {
			return false
		}
	case !echoed:
		szx = min(u.szx, SZXWithin(len(u.part.Payload)-1))
	}
	if !u.part.Blockwise && (szx > message.MaxSZX || 16<<szx >= len(u.part.Payload)) {
		return false
	}
	u.szx, u.offset = szx, 0
	return true
}

func (u *Upload) violation(want, got string) error {
	e := u.Where(ErrProtocol)
	e.Block = u.part.Block1
	e.Want, e.Got = want, got
	u.failed = e
	return e
}

// Where returns an Error for a cause of the caller's, such as a time-out, that says which
// block was under way.
func (u *Upload) Where(cause error) *Error {
	e := &Error{Block: u.part.Block1, Offset: u.offset, Err: cause}
	if u.asked == 0 { // Next would say
		e.Block = message.Block{Num: uint32(u.offset >> (u.szx + 4)), More: true, SZX: u.szx}
	}
	return e
}
