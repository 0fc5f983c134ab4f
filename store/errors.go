package store

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Errors of a store. The methods of a store return them wrapped in an [*Error]:
// use errors.Is.
var (
	// ErrNotFound means that there is no entry with this ID.
	ErrNotFound = errors.New("store: not found")
	// ErrExists means that there is already an entry with the ID of an insert.
	ErrExists = errors.New("store: exists")
	// ErrConflict means that the entry has another version, or is gone.
	ErrConflict = errors.New("store: version conflict")
	// ErrClosed means that the store was closed.
	ErrClosed = errors.New("store: closed")
	// ErrCorrupt means that an entry is damaged, or that no store wrote it.
	ErrCorrupt = errors.New("store: corrupt entry")
	// ErrInvalid means that an argument is outside the limits of the contract.
	// Nothing was changed.
	ErrInvalid = errors.New("store: invalid argument")
)

// Error is the error of every method of a store. An Error names the operation
// that failed, the backend, the entry, and the cause.
type Error struct {
	Op      string // "get", "put", "delete", "claim", "list", "page", "count", "watch", "open" or "close"
	Backend string // the name of the backend, such as "memory", "bolt" or "redis"
	ID      string // shortened; may be empty
	Err     error  // never nil, and never an *Error
}

// Error returns a text with the operation, the backend and the shortened ID.
func (e *Error) Error() string {
	cause := strings.TrimPrefix(e.Err.Error(), "store: ")
	if e.ID == "" {
		return fmt.Sprintf("store: %s %s: %s", e.Backend, e.Op, cause)
	}
	return fmt.Sprintf("store: %s %s %s: %s", e.Backend, e.Op, e.ID, cause)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Wrap returns err as an *Error, with id shortened. Wrap returns nil for nil,
// and an *Error unchanged. Backends call Wrap in every method, so that each
// error is wrapped exactly once.
func Wrap(op, backend, id string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	return &Error{Op: op, Backend: backend, ID: ShortID(id), Err: err}
}

// ShortID returns the first 16 characters of an ID and an ellipsis. The short
// form is enough to find the entry, and cannot be used in place of the ID.
// ShortID returns the empty string if the first characters are not allowed in
// an ID.
func ShortID(id string) string {
	const keep = 16
	short := id
	if len(id) > keep {
		short = id[:keep]
	}
	if CheckID(short) != nil {
		return ""
	}
	if len(id) > keep {
		short += "…"
	}
	return short
}

// CheckID returns ErrInvalid, with the reason, unless id is 1 to 128 bytes of
// A-Z a-z 0-9 - _ and dot. A backend calls CheckID first in Get and Delete.
func CheckID(id string) error {
	if len(id) == 0 || len(id) > 128 {
		return fmt.Errorf("%w: ID must be 1 to 128 bytes, got %d", ErrInvalid, len(id))
	}
	for i := range len(id) {
		c := id[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return fmt.Errorf("%w: ID must have only letters, digits, '-', '_' and '.', its byte %d is another", ErrInvalid, i)
		}
	}
	return nil
}

// Check returns ErrInvalid, with the reason, unless a store accepts the entry.
// A backend calls Check first in Put.
func (e Entry) Check() error {
	if err := CheckID(e.ID); err != nil {
		return err
	}
	if len(e.Body) > MaxStored {
		return fmt.Errorf("%w: body must be at most %d bytes, got %d", ErrInvalid, MaxStored, len(e.Body))
	}
	if e.Due.IsZero() {
		return nil
	}
	return checkTime("due", e.Due)
}

// CheckClaim returns ErrInvalid, with the reason, unless Claim accepts these
// arguments. A backend calls CheckClaim first in Claim.
func CheckClaim(now, until time.Time, n int) error {
	if n < 1 {
		return fmt.Errorf("%w: a claim must be of at least 1 entry, got %d", ErrInvalid, n)
	}
	if err := checkTime("now", now); err != nil {
		return err
	}
	if err := checkTime("until", until); err != nil {
		return err
	}
	if until.UnixMilli() <= now.UnixMilli() {
		return fmt.Errorf("%w: until must be at least one millisecond after now", ErrInvalid)
	}
	return nil
}

// CheckPage returns ErrInvalid, with the reason, unless a [Pager] accepts these
// arguments. A backend calls CheckPage first in Page.
func CheckPage(after string, n int) error {
	if n < 1 {
		return fmt.Errorf("%w: a page must have at least 1 entry, got %d", ErrInvalid, n)
	}
	if after == "" {
		return nil
	}
	return CheckID(after)
}

// endOfTime is the start of the year 10000, in Unix milliseconds. Redis orders
// by a float64, which represents every millisecond before that time exactly.
const endOfTime = 253402300800000

func checkTime(name string, t time.Time) error {
	if ms := t.UnixMilli(); ms <= 0 || ms >= endOfTime {
		return fmt.Errorf("%w: %s must be between 1970 and 9999", ErrInvalid, name)
	}
	return nil
}
