package inbox

import (
	"fmt"
	"slices"
)

// action is an action of a person on a request.
type action string

const (
	look     action = "look"
	vote     action = "vote"
	claim    action = "claim"
	release  action = "release"
	delegate action = "delegate"
	comment  action = "comment"
)

// kind returns the kind of note that records an action.
func (a action) kind() string { return "inbox." + string(a) }

// Limits of the notes of people. Comments, claims and delegations must leave
// room for votes.
const (
	maxVotes      = 8 // of one person
	maxOthers     = 100
	maxOthersSize = 24 << 10 // bytes
)

// Refusal means that a rule of the inbox refuses an action, and that nothing
// was changed. The text of a Refusal is for the person who acted.
type Refusal struct {
	// Code is one of "not-asked", "barred", "may", "claimed", "passed-on",
	// "not-offered", "limit", "no-request" and "superseded".
	Code string
	Text string
}

// Error returns the text.
func (r *Refusal) Error() string { return "inbox: " + r.Text }

func refuse(code, format string, args ...any) error {
	return &Refusal{Code: code, Text: fmt.Sprintf(format, args...)}
}

// allows is the only function that decides what a person may do with a request,
// for every way to use the inbox. The result depends on the journal before the
// action, and on the result of Options.May.
func (j *journal) allows(p Person, a action, to *Person, may error) error {
	if j.request == nil {
		return refuse("no-request", "There is no request here for people to decide.")
	}
	r := *j.request
	_, voted := j.voteOf(p)
	switch {
	case !j.asked(p) && !voted:
		return refuse("not-asked", "This request is not for you.")
	case may != nil:
		return refuse("may", "You may not decide on this request.")
	case a == look:
		return nil
	case p.among(r.NotBy):
		return refuse("barred", "You may not decide on this request yourself.")
	case j.passed[p.ID] != "":
		return refuse("passed-on", "You have passed this request on to %s.", j.passed[p.ID])
	case !j.asked(p):
		return refuse("not-asked", "This request is not for you any more.")
	case p.Link && a != vote:
		return refuse("not-offered", "A link is for an answer only. Sign in to do more.")
	}
	held := j.holder != nil && j.holder.Person.ID != p.ID
	switch a {
	case vote:
		if held {
			return refuse("claimed", "%s has claimed this request. Take it over to answer.", j.holder.Person.label())
		}
		if j.given[p.ID] >= maxVotes {
			return refuse("limit", "You have changed your answer %d times. It stands as it is.", maxVotes-1)
		}
		return nil
	case claim:
		if r.needs() > 1 {
			return refuse("not-offered", "This request needs %d people, so it can't be claimed.", r.needs())
		}
	case release:
		if j.holder == nil || held {
			return refuse("not-offered", "You have not claimed this request.")
		}
	case delegate:
		if err := j.allowsDelegate(p, to, held, voted); err != nil {
			return err
		}
	case comment:
	default:
		return refuse("not-offered", "There is no such action.")
	}
	if j.others >= maxOthers || j.size >= maxOthersSize {
		return refuse("limit", "This request has as many comments as it can keep. You can still answer.")
	}
	return nil
}

// asked reports whether the request is for the person: by For, or by a
// delegation. If For is empty, the request is for the addressees of links.
func (j *journal) asked(p Person) bool {
	if j.seats[p.ID] || slices.ContainsFunc(p.Groups, func(g string) bool { return j.seats[g] }) {
		return true
	}
	return p.among(j.request.For) || len(j.request.For) == 0 && p.Link
}

func (j *journal) allowsDelegate(p Person, to *Person, held, voted bool) error {
	switch {
	case to == nil || checkWho(to.ID) != "":
		return refuse("not-offered", "Say to whom you pass this request on.")
	case to.ID == p.ID:
		return refuse("not-offered", "You can't pass this request on to yourself.")
	case to.among(j.request.NotBy):
		return refuse("barred", "%s may not decide on this request.", to.ID)
	case voted:
		return refuse("not-offered", "You have answered, so you can't pass this request on.")
	case held:
		return refuse("claimed", "%s has claimed this request. Take it over to pass it on.", j.holder.Person.label())
	}
	return nil
}
