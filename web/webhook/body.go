package webhook

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
)

const (
	defaultMaxBody     = 1 << 20
	maxMaxBody         = 64 << 20
	defaultBodyTimeout = 10 * time.Second
	defaultWait        = 2 * time.Second
)

// readBody reads a body of at most limit bytes within the time limit. The error
// is an *http.MaxBytesError or os.ErrDeadlineExceeded, or means that the sender
// is gone.
func readBody(w http.ResponseWriter, r *http.Request, limit int64, timeout time.Duration) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, &http.MaxBytesError{Limit: limit}
	}
	// A test's recorder has no deadlines, and its bodies are complete.
	deadlines := http.NewResponseController(w)
	_ = deadlines.SetReadDeadline(time.Now().Add(timeout))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err != nil {
		// The rest of the body is not read, so the connection cannot be used
		// again.
		w.Header().Set("Connection", "close")
		return nil, err
	}
	// The server continues to read, to notice a sender that disconnects.
	_ = deadlines.SetReadDeadline(time.Time{})
	return body, nil
}

// lasting returns the context for an answer that was read. The context does not
// end when the sender disconnects.
func lasting(ctx context.Context, wait time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), wait)
}

// header returns the value of a header that may appear once. ok is false if it
// appears several times.
func header(h http.Header, name string) (value string, ok bool) {
	switch values := h.Values(name); len(values) {
	case 0:
		return "", true
	case 1:
		return values[0], true
	default:
		return "", false
	}
}

// idempotencyKey reads the header Idempotency-Key, with or without the quotes of
// the IETF draft.
func idempotencyKey(h http.Header) (string, error) {
	value, ok := header(h, "Idempotency-Key")
	if !ok {
		return "", errIdempotencyKey
	}
	if len(value) > 1 && value[0] == '"' && value[len(value)-1] == '"' {
		value = value[1 : len(value)-1]
		if value == "" {
			return "", errIdempotencyKey
		}
	}
	if len(value) > 255 {
		return "", errIdempotencyKey
	}
	for i := range len(value) {
		if value[i] < 0x20 || value[i] > 0x7e {
			return "", errIdempotencyKey
		}
	}
	return value, nil
}

var errIdempotencyKey = errors.New("webhook: the header Idempotency-Key must appear once and have at most 255 printable ASCII characters")

// bound returns an idempotency key that is bound to a body: the same key with
// another body is another answer.
func bound(key string, body []byte) string { return strconv.Quote(key) + " " + digest(body) }
