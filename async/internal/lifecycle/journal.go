package lifecycle

import (
	"bytes"

	"github.com/latchkey-go/latchkey/async/internal/record"
)

// Limits of a round's journal. The size of a note is the size of its kind, its
// author and its data.
const (
	MaxNote    = 16 << 10 // maximum bytes of one note
	MaxJournal = 64 << 10 // maximum bytes of all notes
	MaxNotes   = 256
)

// Noted is the decision about a note.
type Noted int

const (
	// NoteAdded: the note is now the last one in the journal.
	NoteAdded Noted = iota
	// NoteKnown: the journal has an equal note, and nothing changes.
	NoteKnown
	// NoteRefused: the journal has no room for the note.
	NoteRefused
)

// AddNote adds a note to the journal of the record's round, unless the journal
// already has it. dated means that the caller has set its time: see HasNote.
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

// HasNote reports whether the journal has an equal note. A dated note is equal
// to a note with the same time, kind, author and data. An undated note is equal
// to its author's last note, if that has the same kind and data. The author may
// repeat an action after a different one.
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

// NoteSize returns the size of a note in a journal.
func NoteSize(n *record.Note) int { return len(n.Kind) + len(n.By) + len(n.Data) }

// Decided decides about a note that may settle its round.
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
