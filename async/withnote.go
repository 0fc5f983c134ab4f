package async

import (
	"context"

	"github.com/latchkey-go/latchkey/async/internal/record"
)

type noteOfCall struct{}

// WithNote returns a context that carries a note, such as the reason of an
// operator. Complete, Fail, Reject, ReportCanceled, Abandon and Retry add the
// note to the journal in the same write as their change. After a crash, either
// both are present or neither is. A call that changes nothing, such as a
// repeat, adds no note.
//
// The errors of [Callback.Note] then apply to the call. After
// ErrInvalidArgument and ErrJournalFull, nothing has changed. Note and Decide
// have a note as their argument and ignore the one in the context.
func WithNote(ctx context.Context, n Note) context.Context {
	return context.WithValue(ctx, noteOfCall{}, n)
}

// callNote is the note that a call adds to the journal. The zero callNote adds
// none.
type callNote struct {
	note  *record.Note
	dated bool // whether the caller has set the time of the note
}

// callNoteOf checks and returns the note that the context carries, if any.
func callNoteOf(ctx context.Context) (callNote, error) {
	n, ok := ctx.Value(noteOfCall{}).(Note)
	if !ok {
		return callNote{}, nil
	}
	note, err := newNote(n)
	return callNote{note, !n.At.IsZero()}, err
}

// addTo adds the note to the journal of the record's round.
func (c callNote) addTo(r *record.Record) error {
	if c.note == nil {
		return nil
	}
	_, err := addNote(r, c.note, c.dated)
	return err
}
