package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
)

// visitor is a browser with the cookies of one person.
type visitor struct {
	base   string
	client *http.Client
}

// newVisitor signs a person in. Without an ID, the visitor is not signed in.
func newVisitor(ctx context.Context, base, id string) (*visitor, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	v := &visitor{base: base, client: &http.Client{
		Jar:           jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if id == "" {
		return v, nil
	}
	if status, err := v.post(ctx, base+"/sign-in", url.Values{"person": {id}}); err != nil || status != http.StatusSeeOther {
		return nil, fmt.Errorf("%s signs in: status %d, %w", id, status, err)
	}
	return v, nil
}

// post sends a form as a browser does, and returns the status.
func (v *visitor) post(ctx context.Context, address string, form url.Values) (status int, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := v.client.Do(r)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

// item is a request that waits for the visitor.
type item struct {
	Title    string `json:"title"`
	Item     string `json:"item"`
	Answered bool   `json:"answered"`
}

// waiting returns the items in the visitor's inbox.
func (v *visitor) waiting(ctx context.Context) ([]item, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, v.base+"/inbox/", nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json")
	resp, err := v.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	var list struct{ Requests []item }
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the inbox: status %d", resp.StatusCode)
	}
	err = json.NewDecoder(resp.Body).Decode(&list)
	return list.Requests, err
}
