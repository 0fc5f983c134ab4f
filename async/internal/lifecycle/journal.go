package lifecycle

import (
	"bytes"

	"github.com/latchkey-go/latchkey/async/internal/record"
)

// The limits of a round's journal. The size of a note is that of its kind, its
// author and its data.
const (
	MaxNote    = 16 << 10 // bytes of one note
	MaxJournal = 64 << 10 // bytes of all notes
	MaxNotes   = 256
)

// Noted is the decision on a note.
type Noted int

const (
	// NoteAdded: the note is the journal's last.
	NoteAdded Noted = iota
	// NoteKnown: an equal note is there; nothing changes.
	NoteKnown
	// NoteRefused: the journal has no room for the note.
	NoteRefused
)

// AddNote adds a note to the journal of the record's round, unless it is there.
// dated says that the caller has set its time: see HasNote.
func AddNote(r *record.Record, n *record.Note, dated bool) Noted {
	if HasNote(r, n, dated) {
		return NoteKnown
	}
	size := NoteSize(n)
	for _, other := range r.Notes {
		size += NoteSize(other)
	}
	if size > MaxJournal || len(r.Notes) >= MaxNotes {
		return NoteRefused
	}
	r.Notes = append(r.Notes, n)
	return NoteAdded
}

// HasNote reports whether an equal note is in the journal. A note that is dated
// is equal to one with the same time, kind, author and data. A note that is not
// is equal to its author's last one, if that has the same kind and data: the
// author may do the same again after something different.
func HasNote(r *record.Record, n *record.Note, dated bool) bool {
	for i := len(r.Notes) - 1; i >= 0; i-- {
		other := r.Notes[i]
		if other.By != n.By {
			continue
		}
		if same := other.Kind == n.Kind && bytes.Equal(other.Data, n.Data); !dated || same && other.At == n.At {
			return same
		}
	}
	return false
}

// NoteSize is what a note counts for in a journal.
func NoteSize(n *record.Note) int { return len(n.Kind) + len(n.By) + len(n.Data) }

// Decided decides on a note that may settle its round.
func Decided(r *record.Record, n *record.Note, dated bool) Answer {
	switch {
	case r.State == record.Waiting:
		return Accept
	case r.State == record.Settled, r.State == record.Closed && r.End == record.EndDelivered:
		if HasNote(r, n, dated) {
			return Repeat
		}
		return Other
	case r.State == record.Closed:
		return TooLate
	default:
		return Unknown
	}
}
