package bolt

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

func init() { store.Register(backend, openURL) }

func openURL(ctx context.Context, u *url.URL) (store.Store, error) {
	path, o, err := parseURL(u)
	if err != nil {
		return nil, store.Wrap("open", backend, "", err)
	}
	s, err := Open(ctx, path, o)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func parseURL(u *url.URL) (path string, o Options, err error) {
	switch {
	case u.Host != "" || u.User != nil:
		return "", o, fmt.Errorf("%w: a host in the URL: write bolt:///path for an absolute path, or bolt:path for a relative one", store.ErrInvalid)
	case u.Fragment != "":
		return "", o, fmt.Errorf("%w: a fragment in the URL: write # in a path as %%23", store.ErrInvalid)
	case u.Opaque != "":
		if path, err = url.PathUnescape(u.Opaque); err != nil {
			return "", o, fmt.Errorf("%w: the URL's path can't be read", store.ErrInvalid)
		}
	default:
		path = u.Path
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return "", o, fmt.Errorf("%w: the URL's parameters can't be read", store.ErrInvalid)
	}
	for name, values := range query {
		if len(values) != 1 {
			return "", o, fmt.Errorf("%w: parameter %q is given %d times", store.ErrInvalid, name, len(values))
		}
		switch name {
		case "lock_timeout":
			o.LockTimeout, err = time.ParseDuration(values[0])
			if err != nil || o.LockTimeout <= 0 {
				return "", o, fmt.Errorf("%w: lock_timeout is not a duration above zero, such as 5s", store.ErrInvalid)
			}
		case "mode":
			mode, err := strconv.ParseUint(values[0], 8, 32)
			if err != nil || mode == 0 {
				return "", o, fmt.Errorf("%w: mode is not a file's mode in octal, such as 0640", store.ErrInvalid)
			}
			o.Mode = os.FileMode(mode)
		default:
			return "", o, fmt.Errorf("%w: unknown parameter %q; known are lock_timeout and mode", store.ErrInvalid, name)
		}
	}
	return path, o, nil
}
