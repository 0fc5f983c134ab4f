package browser

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// pipe speaks the Chrome DevTools Protocol over two pipes. The protocol uses
// JSON messages that end in a zero byte.
type pipe struct {
	out io.Writer

	mu      sync.Mutex
	last    int
	waiting map[int]chan reply
	ended   error
}

type reply struct {
	ID     int             `json:"id"`
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Message string `json:"message"`
	} `json:"error"`
}

func newPipe(out io.Writer) *pipe { return &pipe{out: out, waiting: make(map[int]chan reply)} }

// listen reads until the browser ends. Events are dropped.
func (p *pipe) listen(in io.Reader) {
	messages := bufio.NewReader(in)
	for {
		b, err := messages.ReadBytes(0)
		if err != nil {
			break
		}
		var r reply
		if json.Unmarshal(b[:len(b)-1], &r) != nil || r.ID == 0 {
			continue
		}
		p.mu.Lock()
		if c := p.waiting[r.ID]; c != nil {
			delete(p.waiting, r.ID)
			c <- r // it has room
		}
		p.mu.Unlock()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = errors.New("the browser has ended")
	for _, c := range p.waiting {
		close(c)
	}
	clear(p.waiting)
}

// call calls a method, and decodes its result into result unless that is nil.
func (p *pipe) call(ctx context.Context, session, method string, params, result any) error {
	c := make(chan reply, 1)
	p.mu.Lock()
	p.last++
	id := p.last
	if p.ended != nil {
		p.mu.Unlock()
		return p.ended
	}
	p.waiting[id] = c
	b, err := json.Marshal(struct {
		ID      int    `json:"id"`
		Method  string `json:"method"`
		Params  any    `json:"params,omitempty"`
		Session string `json:"sessionId,omitempty"`
	}{id, method, params, session})
	if err == nil {
		_, err = p.out.Write(append(b, 0)) // one whole message at a time
	}
	p.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case r, ok := <-c:
		switch {
		case !ok:
			return fmt.Errorf("%s: the browser has ended", method)
		case r.Error != nil:
			return fmt.Errorf("%s: %s", method, r.Error.Message)
		case result != nil:
			return json.Unmarshal(r.Result, result)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", method, ctx.Err())
	}
}
