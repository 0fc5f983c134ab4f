package main

import (
	"testing"

	"github.com/latchkey-go/latchkey/examples/internal/browser"
)

// TestBrowser makes people decide in Chromium. One uses the mouse without
// JavaScript, one uses only the keyboard on a narrow dark screen, and one uses
// a link without sign-in. Two people decide on one expense. See
// browser.Examiner for pictures of the pages.
func TestBrowser(t *testing.T) {
	t.Parallel()
	s := newSite(t, server.Server(t))
	chromium := browser.Start(t)
	large, err := s.office.File(s.context(), samples[3])
	if err != nil {
		t.Fatal(err)
	}
	small, err := s.office.File(s.context(), samples[0])
	if err != nil {
		t.Fatal(err)
	}
	s.waits("edsger", "Expense of €4,800.00")
	eventually(t, "the mails are sent", func() bool {
		return len(s.office.mails.Sent(finance)) == 1 && len(s.office.mails.Sent("grace@example.com")) == 1
	})
	seen := chromium.Examiner()

	// Edsger follows the link in the group's mail and uses the mouse.
	edsger := chromium.Open(browser.Window{Width: 1280, Height: 900, NoScript: true})
	edsger.Go(s.office.mails.Sent(finance)[0].Link)
	edsger.Await("Choose who you are")
	seen.Page(edsger, "sign-in-light")
	edsger.Click(`button[value="edsger@example.com"]`)
	edsger.Await("Your answer</h2>")
	seen.Page(edsger, "request-light")
	edsger.Click(`button[value="vote"]`) // a choice is missing: the browser asks for it, and sends nothing
	edsger.Click(`input[name="approved"][value="true"]`)
	edsger.Click(`button[value="vote"]`)
	edsger.Await("Your answer is in.")
	edsger.Await("1 answer so far")
	seen.Page(edsger, "voted-light")

	// Frances uses her inbox, with the keyboard, on a narrow screen.
	frances := chromium.Open(browser.Window{Width: 390, Height: 844, Dark: true})
	frances.Go(s.base + "/inbox/")
	frances.Await("Choose who you are")
	frances.TabTo(`button[value="frances@example.com"]`)
	frances.Press("Enter")
	frances.Await("Waiting for you</h1>")
	seen.Page(frances, "list-dark-390")
	frances.TabTo(`main a[href*="i/"]`)
	frances.Press("Enter")
	frances.Await("Your answer</h2>")
	seen.Page(frances, "request-dark-390")
	frances.TabTo(`input[name="approved"]`)
	frances.Press("Space")
	frances.TabTo(`textarea[name="_comment"]`)
	frances.Type("for the new customers")
	frances.TabTo(`button[value="vote"]`)
	frances.Press("Enter")
	frances.Await("Decided on")
	seen.Page(frances, "decided-dark-390")

	// Grace opens the link in her mail. Grace is not signed in.
	grace := chromium.Open(browser.Window{Width: 390, Height: 844})
	grace.Go(s.office.mails.Sent("grace@example.com")[0].Link)
	grace.Await("Your name")
	grace.Click(`input[name="_name"]`)
	grace.Type("Grace")
	seen.Page(grace, "link-light-390")
	grace.Click(`input[name="approved"][value="false"]`)
	grace.Click(`button[value="vote"]`)
	grace.Await("Decided on")

	dark := chromium.Open(browser.Window{Width: 1280, Height: 900, Dark: true})
	dark.Go(s.base + "/sign-in?to=/")
	dark.Await("Choose who you are")
	dark.Click(`button[value="edsger@example.com"]`)
	dark.Await("File an expense</h1>")
	seen.Page(dark, "file-dark")
	edsger.Go(s.base + "/inbox/")
	edsger.Await("Nothing waits for you.")

	var got string
	if err := large.Get(s.context(), &got); err != nil || got != "Barbara, rack of servers (€4,800.00): approved by Edsger and Frances: for the new customers" {
		t.Errorf("the workflow returned %q, %v", got, err)
	}
	if err := small.Get(s.context(), &got); err != nil || got != "Ada, train tickets (€84.20): rejected by link for grace@example.com, says Grace" {
		t.Errorf("the workflow returned %q, %v", got, err)
	}
}
