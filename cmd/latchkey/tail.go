package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"time"
)

// tailPages is the maximum number of pages that tail reads in one poll. A page
// has at most 500 entries, and the board ends it after about 120 ms.
const tailPages = 20

// poll is the content of a list at one time.
type poll struct {
	entries map[string]entry
	cut     string // ID of the last entry that the board examined; "": the whole list was read
	ordered bool   // whether the board examines entries in the order of their IDs
}

// covers reports whether the poll has read the place of an entry in the list.
func (p poll) covers(id string) bool { return p.cut == "" || p.ordered && id <= p.cut }

// runTail prints the changes of a list. Errors of the board that may be
// temporary are printed, and the request is repeated.
func runTail(ctx context.Context, c *call) error {
	every, err := time.ParseDuration(c.interval)
	if err != nil || every < time.Second {
		return usage("-interval must be at least 1s, got %q", clean(c.interval))
	}
	if c.polls < 0 {
		return usage("-polls must not be negative, got %d", c.polls)
	}
	parts, query, err := c.list()
	if err != nil {
		return err
	}
	query.Set("limit", "500")
	var seen poll
	for n := 1; ; n++ {
		now, err := c.poll(ctx, query, parts)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && codeOf(err) != exitUnavailable:
			return err
		case err != nil:
			_, _ = fmt.Fprintf(c.err, "latchkey: %s\n", clean(err.Error()))
		default:
			if now.cut != "" && seen.cut == "" {
				_, _ = fmt.Fprintf(c.err, "latchkey: the list is too long for tail, which watches its first %d pages only: use a filter\n", tailPages)
			}
			if err := c.printChanges(seen, now); err != nil {
				return err
			}
			seen = now.after(seen)
		}
		if n == c.polls {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(every):
		}
	}
}

// poll reads a list, up to tailPages.
func (c *call) poll(ctx context.Context, query url.Values, parts []string) (poll, error) {
	now := poll{entries: make(map[string]entry), ordered: true}
	query = maps.Clone(query)
	for range tailPages {
		p, _, err := c.page(ctx, query, parts)
		if err != nil {
			return poll{}, err
		}
		for _, e := range p.Entries {
			now.entries[e.ID] = e
		}
		now.cut, now.ordered = p.Next, now.ordered && p.Ordered
		if p.Next == "" {
			break
		}
		query.Set("after", p.Next)
	}
	return now, nil
}

// after returns p with those entries of the earlier poll, before, whose places
// p has not read.
func (p poll) after(before poll) poll {
	for id, e := range before.entries {
		if _, known := p.entries[id]; !known && !p.covers(id) {
			p.entries[id] = e
		}
	}
	return p
}

// printChanges prints a line for each entry that is new, has changed, or has
// left the list. An entry whose place only one of the polls has read is neither
// new nor has it left.
func (c *call) printChanges(before, now poll) error {
	write := func(change string, e entry) error {
		if c.settings.json {
			b, err := json.Marshal(map[string]any{"change": change, "at": time.Now().UTC(), "entry": e})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.out, "%s\n", b)
			return err
		}
		_, err := fmt.Fprintf(c.out, "%s  %-7s  %s  %s  %s  %s\n", time.Now().UTC().Format("15:04:05Z"), change, word(e.ID), word(e.happens()), word(e.ActivityType), word(e.subject()))
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(now.entries)) {
		old, known := before.entries[id]
		var err error
		switch e := now.entries[id]; {
		case !known && before.covers(id):
			err = write("new", e)
		case known && (old.happens() != e.happens() || old.Round != e.Round):
			err = write("changed", e)
		}
		if err != nil {
			return err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(before.entries)) {
		if _, known := now.entries[id]; !known && now.covers(id) {
			if err := write("left", before.entries[id]); err != nil {
				return err
			}
		}
	}
	return nil
}
