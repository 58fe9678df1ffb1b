// Package plain does what package affinity does the way one would write it in
// an afternoon: a map behind a lock, paths of gjson, and names of sessions put
// together where they are needed. It is what the figures of the real one are held
// against, so it is written with care to be right, and none to be fast.
package plain

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidwall/gjson"
)

// A Target is an upstream, by its name.
type Target struct{ Name string }

// A Selector keeps sessions at their targets. New ones go round robin.
type Selector struct {
	// Get returns the target of the session and makes its expiry slide.
	Get func(session string) (target string, ok bool)
	Set func(session, target string)

	next atomic.Uint64
}

// ErrNoTarget reports that there was nothing to choose from.
var ErrNoTarget = errors.New("plain: no target")

// Select chooses a target for the request: the one that its session has, if that
// is among the targets, and else the next one, which the session keeps.
func (s *Selector) Select(h http.Header, body []byte, targets []*Target) (*Target, error) {
	if len(targets) == 0 {
		return nil, ErrNoTarget
	}
	session := Session(h, body)
	if session != "" {
		if id, ok := s.Get(session); ok {
			for _, t := range targets {
				if t.Name == id {
					return t, nil
				}
			}
		}
	}
	t := targets[(s.next.Add(1)-1)%uint64(len(targets))]
	if session != "" {
		s.Set(session, t.Name)
	}
	return t, nil
}

var claude = regexp.MustCompile(`_session_([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$`)

// bodyIDs are where ids are in bodies.
var bodyIDs = []string{"conversation_id", "session_id", "metadata.session_id", "prompt_cache_key"}

// Session returns the name of the session that the request belongs to, or "".
func Session(h http.Header, body []byte) string {
	if id := h.Get("X-Session-ID"); id != "" {
		return "header:" + id
	}
	user := gjson.GetBytes(body, "metadata.user_id").String()
	if m := claude.FindStringSubmatch(user); m != nil {
		return "claude:" + m[1]
	}
	if id := gjson.Get(user, "session_id").String(); id != "" {
		return "claude:" + id
	}
	for _, path := range bodyIDs {
		if id := gjson.GetBytes(body, path).String(); id != "" {
			return path + ":" + id
		}
	}
	if user != "" {
		return "user:" + user
	}
	return Messages(body)
}

// Messages names a session by how its messages begin: the system prompt and
// what the user said first. It returns "" if nobody said anything.
func Messages(body []byte) string {
	var system, user string
	if s := gjson.GetBytes(body, "system"); s.Exists() {
		system = text(s)
	}
	gjson.GetBytes(body, "messages").ForEach(func(_, m gjson.Result) bool {
		switch m.Get("role").String() {
		case "system":
			system += text(m.Get("content"))
		case "user":
			user = text(m.Get("content"))
		}
		return user == ""
	})
	if user == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(system + "\x00" + user))
	return "messages:" + hex.EncodeToString(sum[:])
}

// text returns the text of a message's content, which is a string or a list of
// blocks.
func text(content gjson.Result) string {
	if !content.IsArray() {
		return content.String()
	}
	var all string
	content.ForEach(func(_, block gjson.Result) bool {
		all += block.Get("text").String()
		return true
	})
	return all
}

// A Map remembers what target a session has: one map behind one lock, without a limit to its size. What has
// expired stays until Sweep.
type Map struct {
	ttl time.Duration
	mu  sync.RWMutex
	m   map[string]entry
}

type entry struct {
	target  string
	expires time.Time
}

// NewMap returns a Map whose entries live for ttl after their last use.
func NewMap(ttl time.Duration) *Map { return &Map{ttl: ttl, m: make(map[string]entry)} }

// Get returns the target of the session and makes its expiry slide.
func (m *Map) Get(session string) (string, bool) {
	m.mu.RLock()
	e, ok := m.m[session]
	m.mu.RUnlock()
	if !ok || time.Now().After(e.expires) {
		return "", false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok = m.m[session]
	if !ok {
		return "", false
	}
	e.expires = time.Now().Add(m.ttl)
	m.m[session] = e
	return e.target, true
}

// Set lets the session have the target.
func (m *Map) Set(session, target string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.m[session] = entry{target, time.Now().Add(m.ttl)}
}

// Invalidate forgets all sessions of the target.
func (m *Map) Invalidate(target string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for session, e := range m.m {
		if e.target == target {
			delete(m.m, session)
		}
	}
}

// Sweep forgets all sessions that have expired.
func (m *Map) Sweep() {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	for session, e := range m.m {
		if now.After(e.expires) {
			delete(m.m, session)
		}
	}
}

// SweepEvery sweeps every so often, until stop is called.
func (m *Map) SweepEvery(d time.Duration) (stop func()) {
	done := make(chan struct{})
	go func() {
		tick := time.NewTicker(d)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				m.Sweep()
			case <-done:
				return
			}
		}
	}()
	return sync.OnceFunc(func() { close(done) })
}
