package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	mrand "math/rand/v2"
	"net/http"
	"sync"
	"time"
)

const (
	// askTime is how long the survey system takes to accept a question.
	askTime = 100 * time.Millisecond

	// longestWait is the longest time until an answer. Many answers take longer
	// than the heartbeat timeout.
	longestWait = 2 * heartbeatTimeout

	// rivalEvery is the number of questions of which one gets a second,
	// different answer.
	rivalEvery = 10
)

// outside is the survey system: people who answer, and a program that repeats
// each answer until it is accepted. The survey system is never killed, so it
// knows which answers were promised.
type outside struct {
	ctx   context.Context // of the answering
	doors []string        // URLs that accept answers

	mu      sync.Mutex
	asked   map[int]question
	over    bool // the survey is over
	answers sync.WaitGroup
}

// question is the state of one question.
type question struct {
	id      string
	times   int           // how often the question was asked
	answer  Answer        // the answer, which is the same in each delivery
	sent    int           // tries
	waited  time.Duration // the time until the answer was accepted
	taken   bool
	refused bool   // a different answer was sent after the accepted one, and was refused
	wrong   string // a wrong response
}

// ServeHTTP receives a question.
func (o *outside) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var q Question
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		http.Error(w, "the body must be a question in JSON", http.StatusBadRequest)
		return
	}
	o.mu.Lock()
	known := o.asked[q.Number]
	switch {
	case o.over:
	case known.times == 0:
		known.id, known.answer = q.CallbackID, Answer{fmt.Sprintf("answer %d, %s", q.Number, rand.Text())}
		o.answers.Go(func() { o.reply(q.Number, known.id, known.answer, time.Now()) })
	case known.id != q.CallbackID:
		known.wrong = "it was asked again with another callback ID"
	}
	known.times++
	o.asked[q.Number] = known
	o.mu.Unlock()
	pause(r.Context(), askTime)
}

// reply sends the answer when it is due, until it is accepted. reply tries the
// URLs in turn, because one of the processes may be dead.
func (o *outside) reply(number int, id string, a Answer, asked time.Time) {
	pause(o.ctx, mrand.N(longestWait))
	for door := mrand.IntN(len(o.doors)); ; door++ {
		if o.ctx.Err() != nil {
			return
		}
		got, err := o.send(o.doors[door%len(o.doors)]+id+"/complete", a)
		o.note(number, func(q *question) {
			q.sent++
			switch {
			case err != nil || got == http.StatusServiceUnavailable:
			case got == http.StatusOK:
				q.taken, q.waited = true, time.Since(asked)
			default:
				q.taken, q.wrong = true, fmt.Sprintf("its answer was refused with status %d", got)
			}
		})
		if o.look(number).taken {
			break
		}
		pause(o.ctx, 100*time.Millisecond)
	}
	if number%rivalEvery == 0 {
		o.challenge(number, id)
	}
}

// challenge sends an answer that differs from the accepted one.
func (o *outside) challenge(number int, id string) {
	for door := 0; o.ctx.Err() == nil; door++ {
		got, err := o.send(o.doors[door%len(o.doors)]+id+"/complete", Answer{"a rival's"})
		if err != nil || got == http.StatusServiceUnavailable {
			pause(o.ctx, 100*time.Millisecond)
			continue
		}
		o.note(number, func(q *question) {
			if q.refused = got == http.StatusConflict; !q.refused {
				q.wrong = fmt.Sprintf("a different answer got status %d, want 409", got)
			}
		})
		return
	}
}

// end returns when no reply is being sent. The context must have ended before
// end is called.
func (o *outside) end() {
	o.mu.Lock()
	o.over = true
	o.mu.Unlock()
	o.answers.Wait()
}

func (o *outside) send(url string, a Answer) (status int, err error) {
	body, err := json.Marshal(a)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(o.ctx, 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	return answer.StatusCode, answer.Body.Close()
}

func (o *outside) note(number int, what func(*question)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	q := o.asked[number]
	what(&q)
	o.asked[number] = q
}

func (o *outside) look(number int) question {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.asked[number]
}

// books returns the survey system's record of the questions.
func (o *outside) books() map[int]question {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.asked)
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
