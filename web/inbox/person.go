package inbox

import (
	"fmt"
	"slices"
	"time"
)

// Person is a person who looks at requests or decides. In Request.For and
// Request.NotBy, IDs of people and names of groups share one namespace.
// Therefore no ID may equal the name of a group.
type Person struct {
	// ID identifies the person, such as a mail address. Required.
	ID string `json:"id"`

	// Name is the name that pages show. Defaults to ID.
	Name string `json:"name,omitempty"`

	// Groups are the person's current groups.
	Groups []string `json:"groups,omitempty"`

	// Link reports that the person used a sealed link and did not sign in. ID
	// is then the link's addressee, and Name is the name that the person typed.
	Link bool `json:"link,omitempty"`
}

// String names the person as the journal does.
func (p Person) String() string {
	switch {
	case p.Link:
		return fmt.Sprintf("link for %s, says %s", p.ID, p.Name)
	case p.Name == "" || p.Name == p.ID:
		return p.ID
	default:
		return fmt.Sprintf("%s (%s)", p.Name, p.ID)
	}
}

// label returns the person's name for use in a sentence.
func (p Person) label() string {
	if p.Link || p.Name == "" {
		return p.String()
	}
	return p.Name
}

// among reports whether the list has the person or one of the person's groups.
func (p Person) among(list []string) bool {
	return slices.Contains(list, p.ID) || slices.ContainsFunc(p.Groups, func(g string) bool { return slices.Contains(list, g) })
}

// Vote is one person's answer. When a request is decided, Agrees reports
// whether the vote equals the accepted answer.
type Vote struct {
	By      Person    `json:"by"`
	At      time.Time `json:"at"`
	Agrees  bool      `json:"agrees"`
	Comment string    `json:"comment,omitempty"`
}

// Decided is an optional interface of result types that record who decided.
// Usually the pointer type implements Decided. SetDecided is called with the
// last answer of each person, in the order of the journal, before the result is
// accepted. The workflow and Temporal's history thus have the names. The fields
// that SetDecided sets are not part of forms, and an answer that contains them
// is refused. The JSON tags of the fields that SetDecided sets must have
// omitempty. The values that SetDecided sets must depend only on the votes.
type Decided interface{ SetDecided(by []Vote) }
