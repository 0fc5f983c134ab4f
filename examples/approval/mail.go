package main

import (
	"context"
	"slices"
	"sync"

	"github.com/latchkey-go/latchkey/web/inbox"
)

// Mail is a message to a person or a group.
type Mail struct{ To, Subject, Link string }

// Mails is the mail server: it prints each mail, and keeps it while the program
// runs. The methods of Mails may be called concurrently.
type Mails struct {
	print func(m Mail)

	mu   sync.Mutex
	sent []Mail
}

// Send sends a mail.
func (m *Mails) Send(mail Mail) {
	m.mu.Lock()
	m.sent = append(m.sent, mail)
	m.mu.Unlock()
	m.print(mail)
}

// OnPost is inbox.Options.OnPost. For a person, the link answers without
// sign-in. For a group, the link leads to a sign-in.
func (m *Mails) OnPost(_ context.Context, who string, r inbox.Request, link string) error {
	m.Send(Mail{To: who, Subject: r.Title, Link: link})
	return nil
}

// Sent returns the mails to a person or a group, the oldest first.
func (m *Mails) Sent(to string) []Mail {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(m.sent), func(mail Mail) bool { return mail.To != to })
}

// String returns the mail as the terminal shows it.
func (m Mail) String() string {
	s := "Mail to " + m.To + ": " + printable(m.Subject)
	if m.Link != "" {
		s += "\n       " + m.Link
	}
	return s
}
