package postgres

import (
	"context"
	"fmt"
	"net/url"
	"strconv"

	"github.com/latchkey-go/latchkey/store"
)

func init() {
	store.Register("postgres", openURL)
	store.Register("postgresql", openURL)
}

// openURL opens a store by URL. openURL removes the store's parameters, and
// passes the others to pgx.
func openURL(ctx context.Context, u *url.URL) (store.Store, error) {
	o, migrate, err := optionsOf(u)
	if err != nil {
		return nil, openError(err)
	}
	if migrate {
		if err := Migrate(ctx, o); err != nil {
			return nil, err
		}
	}
	s, err := Open(ctx, o)
	if err != nil {
		return nil, err // not a nil *Store in an interface
	}
	return s, nil
}

func optionsOf(u *url.URL) (o Options, migrate bool, err error) {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return o, false, fmt.Errorf("%w: the query of the URL cannot be parsed", store.ErrInvalid)
	}
	take := func(name string) string {
		value := query.Get(name)
		query.Del(name)
		return value
	}
	flag := func(name string) bool {
		value := take(name)
		if value == "" {
			return false
		}
		set, wrong := strconv.ParseBool(value)
		if wrong != nil {
			err = fmt.Errorf("%w: the URL's %s must be true or false", store.ErrInvalid, name)
		}
		return set
	}
	o.Schema, o.TablePrefix = take("schema"), take("table_prefix")
	migrate = flag("migrate")
	rest := *u
	rest.RawQuery = query.Encode()
	o.URL = rest.String()
	return o, migrate, err
}
