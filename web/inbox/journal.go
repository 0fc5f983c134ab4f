package inbox

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/async"
)

// Kinds of notes that the inbox writes. The inbox skips all other kinds.
const (
	noteRequest  = "inbox.request"
	noteVote     = "inbox.vote"
	noteClaim    = "inbox.claim"
	noteRelease  = "inbox.release"
	noteDelegate = "inbox.delegate"
	noteComment  = "inbox.comment"
	noteSent     = "inbox.sent"
)

// note is the data of every note except a request.
type note struct {
	Person  Person          `json:"person,omitzero"`
	Answer  json.RawMessage `json:"answer,omitempty"` // canonical
	Comment string          `json:"comment,omitempty"`
	To      string          `json:"to,omitempty"` // the target of a delegation or a message
}

// event is a decoded note.
type event struct {
	note
	At   time.Time
	Kind string
}

// journal is the state that the notes of a round describe.
type journal struct {
	request *Request // nil: the round has no request of the inbox
	posted  time.Time
	events  []event           // in order, without requests and messages
	votes   []event           // the last vote of each person, in the order of the votes
	holder  *event            // the present claim
	passed  map[string]string // who has delegated the request, and to whom
	seats   map[string]bool   // the people to whom the request was delegated
	sent    []string          // the people who got a message
	given   map[string]int    // how many votes each person has given
	others  int               // number of events other than votes
	size    int               // bytes of those
}

// read reads the notes of a round. read skips notes that it cannot read, such
// as those of operators and of later releases.
func read(notes []async.Note) journal {
	j := journal{passed: make(map[string]string), seats: make(map[string]bool), given: make(map[string]int)}
	for _, n := range notes {
		if n.Kind == noteRequest {
			r := new(Request)
			if json.Unmarshal(n.Data, r) == nil {
				if j.request == nil {
					j.posted = n.At
				}
				j.request = r
			}
			continue
		}
		e := event{At: n.At, Kind: n.Kind}
		if json.Unmarshal(n.Data, &e.note) != nil {
			continue
		}
		j.add(e, len(n.By)+len(n.Data))
	}
	return j
}

func (j *journal) add(e event, size int) {
	id := e.Person.ID
	switch e.Kind {
	case noteVote:
		j.votes = append(slices.DeleteFunc(j.votes, func(v event) bool { return v.Person.ID == id }), e)
		j.given[id]++
		j.events = append(j.events, e)
		return
	case noteSent:
		j.sent = append(j.sent, e.To)
		return
	case noteClaim:
		j.holder = &e
	case noteRelease:
		j.holder = nil
	case noteDelegate:
		j.passed[id] = e.To
		delete(j.passed, e.To)
		delete(j.seats, id)
		j.seats[e.To] = true
		if j.holder != nil && j.holder.Person.ID == id {
			j.holder = nil
		}
	case noteComment:
	default:
		return
	}
	j.events = append(j.events, e)
	j.others++
	j.size += size
}

// tally returns the answer that enough people have given, and the last vote of
// each person.
func (j *journal) tally() (answer json.RawMessage, by []Vote, done bool) {
	count := make(map[string]int)
	for _, v := range j.votes {
		count[string(v.Answer)]++
	}
	for _, v := range j.votes {
		if count[string(v.Answer)] >= j.request.needs() {
			answer, done = v.Answer, true
			break
		}
	}
	for _, v := range j.votes {
		by = append(by, Vote{By: v.Person, At: v.At, Agrees: done && string(v.Answer) == string(answer), Comment: v.Comment})
	}
	return answer, by, done
}

// voteOf returns the person's last vote.
func (j *journal) voteOf(p Person) (event, bool) {
	i := slices.IndexFunc(j.votes, func(v event) bool { return v.Person.ID == p.ID })
	if i < 0 {
		return event{}, false
	}
	return j.votes[i], true
}
