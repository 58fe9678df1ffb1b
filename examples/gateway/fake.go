package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
)

// fake is an upstream with a prompt cache of its own: it remembers every prefix
// of the prompts that it was sent, as providers do per account.
type fake struct {
	mu       sync.Mutex
	prefixes map[[sha256.Size]byte]bool
	requests int
}

// usage is what a fake upstream answers with.
type usage struct {
	Input  int `json:"input_tokens"`
	Cached int `json:"cached_tokens"`
}

// ServeHTTP implements http.Handler.
func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	u := f.read(body)
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"id": "answer", "usage": u})
}

// read looks a prompt up in the cache and puts it in.
func (f *fake) read(body []byte) usage {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests++
	if f.prefixes == nil {
		f.prefixes = map[[sha256.Size]byte]bool{}
	}
	var u usage
	var prefix [sha256.Size]byte
	warm := true
	for _, piece := range pieces(body) {
		prefix = sha256.Sum256(append(prefix[:], piece...))
		tokens := (len(piece) + 3) / 4
		u.Input += tokens
		if warm = warm && f.prefixes[prefix]; warm {
			u.Cached += tokens
		}
		f.prefixes[prefix] = true
	}
	return u
}

// pieces cuts a prompt where a provider's cache does: tools, system prompt, and
// one message after the other.
func pieces(body []byte) [][]byte {
	var prompt map[string]any
	if json.Unmarshal(body, &prompt) != nil {
		return nil
	}
	var out [][]byte
	add := func(v any) {
		if b, err := json.Marshal(plain(v)); err == nil {
			out = append(out, b)
		}
	}
	for _, name := range []string{"tools", "system", "systemInstruction", "instructions", "messages", "contents", "input"} {
		switch v := prompt[name].(type) {
		case nil:
		case []any:
			for _, e := range v {
				add(e)
			}
		default:
			add(v)
		}
	}
	return out
}

// plain takes out what does not change a prompt: where its caching is asked
// for, and whether a single text is wrapped in a block.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for name, e := range v {
			if name != "cache_control" {
				m[name] = plain(e)
			}
		}
		return m
	case []any:
		if len(v) == 1 {
			if block, ok := v[0].(map[string]any); ok && block["type"] == "text" {
				return fmt.Sprint(block["text"])
			}
		}
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = plain(e)
		}
		return list
	}
	return v
}
