package main

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-affinity/affinity/extract"
)

// Where the APIs take a credential: in one of these headers, or in the query as
// a parameter named key.
var credentialHeaders = []string{"Authorization", "X-Api-Key", "Api-Key", "X-Goog-Api-Key"}

// tenant is whose sessions a request can name: those of the credentials in its
// headers. All of them count, so that a secret beside one that everybody sends
// keeps its owner apart. (The selector keeps a keyed hash.)
func tenant(req *extract.Request) string {
	var b []byte
	for _, name := range credentialHeaders {
		for _, v := range req.Header[name] {
			b = appendSecret(b, v)
		}
	}
	return string(b)
}

// queryTenant is the same for the query, which an extract.Request lacks.
func queryTenant(rawQuery string) string {
	var b []byte
	mapKeys(rawQuery, func(v string) string { b = appendSecret(b, v); return v })
	return string(b)
}

func appendSecret(b []byte, s string) []byte {
	return append(append(strconv.AppendInt(b, int64(len(s)), 10), ':'), s...)
}

// authorize puts key wherever the client put its credential, or if there is
// none, where the API of that path wants it.
func authorize(r *http.Request, key string) {
	found := false
	for _, name := range credentialHeaders {
		if len(r.Header[name]) > 0 {
			setCredential(r.Header, name, key)
			found = true
		}
	}
	r.URL.RawQuery = mapKeys(r.URL.RawQuery, func(string) string {
		found = true
		return url.QueryEscape(key)
	})
	if !found {
		setCredential(r.Header, credentialHeader(r.URL.Path), key)
	}
}

func setCredential(h http.Header, name, key string) {
	if name == "Authorization" {
		key = "Bearer " + key
	}
	h[name] = []string{key}
}

// credentialHeader returns the header that the API of the path wants.
func credentialHeader(path string) string {
	switch {
	case strings.Contains(path, "/v1/messages"):
		return "X-Api-Key"
	case strings.Contains(path, "/openai/"): // Gemini has that too
	case strings.Contains(path, "/v1beta/"), strings.HasSuffix(path, ":generateContent"), strings.HasSuffix(path, ":streamGenerateContent"):
		return "X-Goog-Api-Key"
	}
	return "Authorization"
}

// mapKeys replaces the value of every parameter named key by what f returns for
// it, both as they are on the wire. The rest of the query stays to the byte,
// which url.Values would not let it.
func mapKeys(rawQuery string, f func(string) string) string {
	pairs := strings.Split(rawQuery, "&")
	for i, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); err == nil && plain == "key" {
			pairs[i] = name + "=" + f(value)
		}
	}
	return strings.Join(pairs, "&")
}
