package inbox

import (
	"fmt"
	"slices"
	"time"
)

// Person is someone who looks at requests or decides. IDs of people and names of
// groups share one space of names in Request.For and Request.NotBy, so no ID may
// equal the name of a group.
type Person struct {
	// ID identifies the person, such as a mail address. Required.
	ID string `json:"id"`

	// Name is what pages show. Defaults to ID.
	Name string `json:"name,omitempty"`

	// Groups are the groups that the person is in now.
	Groups []string `json:"groups,omitempty"`

	// Link reports that the person did not sign in but came by a sealed link. ID
	// is then the link's addressee, and Name is what the person typed.
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

// label names the person in a sentence.
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

// Vote is one person's answer. When a request is decided, Agrees reports whether
// the answer is the one that was accepted.
type Vote struct {
	By      Person    `json:"by"`
	At      time.Time `json:"at"`
	Agrees  bool      `json:"agrees"`
	Comment string    `json:"comment,omitempty"`
}

// Decided is implemented by a result type, usually by its pointer, that says who
// decided. SetDecided is called with the last answer of each person, in the order
// of the journal, before the result is accepted: so the workflow gets the names,
// and Temporal's history has them. The fields that SetDecided sets are not part
// of forms; an answer that has them is refused. Their JSON tags must have
// omitempty. SetDecided must set nothing that depends on anything but the votes.
type Decided interface{ SetDecided(by []Vote) }
