package postgres

import (
	"crypto/sha256"
	"encoding/hex"
)

// statements contains the store's statements, with the names of its tables. The
// parameters of the statements have casts, so that every protocol of every
// driver agrees on the types.
type statements struct {
	names   names
	channel string // of NOTIFY

	get, insert, replace, delete, exists string
	insertDue, replaceDue, notify        string // insert and replace with a NOTIFY, and the NOTIFY alone
	claim, wait, page, count             string
}

const (
	getSQL    = `SELECT id, version, due, body, sum FROM {entries} WHERE id = $1::text`
	insertSQL = `INSERT INTO {entries} (id, version, due, body, sum)
	VALUES ($1::text, $2::bigint, $3::bigint, coalesce($4::bytea, ''::bytea), $5::integer) ON CONFLICT DO NOTHING`
	replaceSQL = `UPDATE {entries} SET version = $2::bigint, due = $3::bigint, body = coalesce($4::bytea, ''::bytea), sum = $5::integer
	WHERE id = $1::text AND version = $6::bigint`
	deleteSQL = `DELETE FROM {entries} WHERE id = $1::text AND version = $2::bigint`
	existsSQL = `SELECT FROM {entries} WHERE id = $1::text`

	// claimSQL claims up to $3 entries that are due at $1, the oldest first.
	// claimSQL stops after $5 bytes of bodies, but takes at least one entry.
	// The entries get due time $2 and version $4. All entries get the same
	// version, because versions are compared per ID.
	//
	// SKIP LOCKED skips rows that other transactions have locked. An empty
	// result must not hide locked rows. If nothing could be claimed, the
	// statement therefore returns the ID of one due entry, with version 0. No
	// row means that nothing was due in this snapshot.
	claimSQL = `
WITH locked AS (SELECT id, due, octet_length(body) AS size FROM {entries}
	WHERE due <= $1::bigint ORDER BY due LIMIT $3::bigint FOR UPDATE SKIP LOCKED),
picked AS (SELECT id, due FROM (SELECT *, sum(size) OVER (ORDER BY due, id) AS total FROM locked) AS l
	WHERE total <= $5::bigint OR total = size),
claimed AS (UPDATE {entries} AS e SET version = $4::bigint, due = $2::bigint FROM picked WHERE e.id = picked.id
	RETURNING e.id, e.version, e.due, e.body, e.sum, picked.due AS was),
hidden AS (SELECT id, 0::bigint, NULL::bigint, NULL::bytea, 0, NULL::bigint FROM {entries}
	WHERE due <= $1::bigint AND NOT EXISTS (SELECT FROM claimed) ORDER BY due LIMIT 1)
SELECT id, version, due, body, sum FROM (SELECT * FROM claimed UNION ALL SELECT * FROM hidden) AS answer ORDER BY was, id`

	// waitSQL waits until no transaction has locked the entry, for at most half a
	// second. The simple protocol runs both statements as one transaction, so SET
	// LOCAL changes nothing else in the session.
	waitSQL = `SET LOCAL lock_timeout = '500ms'; SELECT FROM {entries} WHERE id = $1 FOR SHARE`

	// pageSQL returns up to $2 entries that follow $1, with at most $3 bytes of
	// bodies. pageSQL always returns at least one entry, if any follows.
	pageSQL = `
SELECT id, version, due, body, sum FROM (
	SELECT *, octet_length(body) AS size, sum(octet_length(body)) OVER (ORDER BY id) AS total
	FROM (SELECT * FROM {entries} WHERE id > $1::text ORDER BY id LIMIT $2::bigint) AS l) AS p
WHERE total <= $3::bigint OR total = size ORDER BY id`
)

func newStatements(n names) statements {
	s := statements{
		names: n, channel: channel(n),
		get: n.in(getSQL), insert: n.in(insertSQL), replace: n.in(replaceSQL), delete: n.in(deleteSQL), exists: n.in(existsSQL),
		claim: n.in(claimSQL), wait: n.in(waitSQL), page: n.in(pageSQL),
		count: n.in(countSQL),
	}
	s.notify = `SELECT pg_notify('` + s.channel + `', '')`
	// The statement returns one row for each written row, as it does without
	// NOTIFY.
	notifying := func(write string) string {
		return `WITH written AS (` + write + ` RETURNING id) ` + s.notify + ` FROM written`
	}
	s.insertDue, s.replaceDue = notifying(s.insert), notifying(s.replace)
	return s
}

// channel returns the channel of NOTIFY. Channels belong to the whole database and
// have at most 63 characters, so the name contains a digest of schema and prefix.
func channel(n names) string {
	digest := sha256.Sum256([]byte(n.schema + "." + n.prefix))
	return "latchkey_" + hex.EncodeToString(digest[:10])
}
