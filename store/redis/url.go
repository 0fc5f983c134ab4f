package redis

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/store"
)

func init() {
	store.Register("redis", openURL)
	store.Register("rediss", openURL)
}

// openURL opens redis:// and rediss:// URLs. openURL passes parameters that it
// does not know to go-redis.
func openURL(ctx context.Context, u *url.URL) (store.Store, error) {
	client, o, err := parseURL(u)
	if err != nil {
		return nil, wrap(ctx, "open", "", err)
	}
	s, err := Open(ctx, client, o)
	if err != nil {
		client.Close()
		return nil, err
	}
	s.owned = true
	return s, nil
}

func parseURL(u *url.URL) (redis.UniversalClient, Options, error) {
	// If a slash in a password is not escaped, the password becomes part of the
	// path, and go-redis would repeat the path in an error.
	if db := strings.Trim(u.Path, "/"); db != "" {
		if _, err := strconv.ParseUint(db, 10, 16); err != nil {
			return nil, Options{}, fmt.Errorf("%w: the URL's path is the number of a database or empty", store.ErrInvalid)
		}
	}
	if u.Opaque != "" || u.Fragment != "" {
		return nil, Options{}, fmt.Errorf("%w: the URL is redis://user:password@host:port/number, with ?, # and / escaped within a password", store.ErrInvalid)
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, Options{}, fmt.Errorf("%w: the URL's parameters can't be read", store.ErrInvalid)
	}
	p := params{values: q}
	o := Options{
		Prefix: p.text("prefix"),
		Shards: p.number("shards"),
		Pages:  p.yes("pages"),
		Ack:    Ack{Replicas: p.number("replicas"), AOF: p.yes("aof"), Timeout: p.duration("ack_timeout")},
	}
	cluster := p.yes("cluster")
	if p.err != nil {
		return nil, Options{}, p.err
	}
	rest := *u
	rest.RawQuery = q.Encode()
	client, err := newClient(rest.String(), cluster, q.Has("master_name"))
	if err != nil {
		return nil, Options{}, fmt.Errorf("%w: %w", store.ErrInvalid, err)
	}
	return client, o, nil
}

func newClient(rawURL string, cluster, sentinel bool) (redis.UniversalClient, error) {
	switch {
	case cluster:
		o, err := redis.ParseClusterURL(rawURL)
		if err != nil {
			return nil, err
		}
		o.ContextTimeoutEnabled = true
		return redis.NewClusterClient(o), nil
	case sentinel:
		o, err := redis.ParseFailoverURL(rawURL)
		if err != nil {
			return nil, err
		}
		if o.RouteByLatency || o.RouteRandomly || o.ReplicaOnly {
			return nil, fmt.Errorf("%w: the client would read from replicas", ErrConfig)
		}
		o.ContextTimeoutEnabled = true
		return redis.NewFailoverClient(o), nil
	default:
		o, err := redis.ParseURL(rawURL)
		if err != nil {
			return nil, err
		}
		o.ContextTimeoutEnabled = true
		return redis.NewClient(o), nil
	}
}

// params removes the store's own parameters from those of a URL.
type params struct {
	values url.Values
	err    error // the first
}

func (p *params) text(name string) string {
	value := p.values.Get(name)
	p.values.Del(name)
	return value
}

func (p *params) number(name string) int {
	return param(p, name, "a number", strconv.Atoi)
}

func (p *params) yes(name string) bool {
	return param(p, name, "true or false", strconv.ParseBool)
}

func (p *params) duration(name string) time.Duration {
	return param(p, name, "a duration such as 500ms", time.ParseDuration)
}

func param[T any](p *params, name, form string, parse func(string) (T, error)) (v T) {
	text := p.text(name)
	if text == "" {
		return v
	}
	v, err := parse(text)
	if err != nil && p.err == nil {
		p.err = fmt.Errorf("%w: the parameter %s is %s", store.ErrInvalid, name, form)
	}
	return v
}
