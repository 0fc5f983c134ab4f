package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestAccountNoticesWhatIsWrong makes account compare wrong results, and checks
// that it reports them.
func TestAccountNoticesWhatIsWrong(t *testing.T) {
	t.Parallel()
	happened := func() (map[int]question, []reading) {
		books, read := make(map[int]question), make([]reading, total)
		for n := range read {
			a := Answer{fmt.Sprint("answer ", n)}
			books[n] = question{id: "id", times: 1, answer: a, sent: 1, taken: true, refused: n%rivalEvery == 0, waited: time.Hour}
			read[n] = reading{number: n, answer: a, completions: 1, attempt: 1}
		}
		return books, read
	}
	if _, err := account(happened()); err != nil {
		t.Fatalf("what came out right: %v, want no error", err)
	}
	const one = 10 // this question has a second, different answer
	for _, c := range []struct {
		name  string
		wrong func(q *question, r *reading)
		want  string
	}{
		{"never asked", func(q *question, _ *reading) { *q = question{} }, "was not asked"},
		{"not taken", func(q *question, _ *reading) { q.taken = false }, "was not accepted"},
		{"went wrong", func(q *question, _ *reading) { q.wrong = "refused with status 410" }, "status 410"},
		{"rival accepted", func(q *question, _ *reading) { q.refused = false }, "different answer was refused: false"},
		{"lost", func(_ *question, r *reading) { r.answer = Answer{} }, `the workflow has ""`},
		{"another's", func(_ *question, r *reading) { r.answer = Answer{"answer 11"} }, `the workflow has "answer 11"`},
		{"twice", func(_ *question, r *reading) { r.completions = 2 }, "completed 2 times"},
	} {
		books, read := happened()
		q := books[one]
		c.wrong(&q, &read[one])
		books[one] = q
		lines, err := account(books, read)
		if want := "question 10: "; err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: the account's error is %v, want one of question 10 with %q", c.name, err, c.want)
		}
		if want := "239 activities have the answer"; !strings.Contains(lines[0], want) {
			t.Errorf("%s: the account says %q, want %q", c.name, lines[0], want)
		}
	}

	books, read := happened()
	if _, err := account(books, read[1:]); err == nil {
		t.Error("one activity too few: no error")
	}
	for n := range read {
		read[n].attempt = 2
	}
	if _, err := account(books, read); err == nil {
		t.Error("no activity outlived its heartbeat timeout: no error")
	}
}
