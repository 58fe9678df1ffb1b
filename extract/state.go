package extract

import (
	"strings"

	"github.com/go-affinity/affinity/internal/jsonscan"
)

// stateSource is the Source of sessions that are known by state on the server.
const stateSource = "state"

// State returns an Extractor for requests that name their conversation only by state on
// the upstream: previous_response_id, previous_interaction_id,
// thread.previous_message_id, or the path, as [Request.Pins] reads it. The Source is
// "state", and the Confidence Explicit. The ID is that of the state, and so differs at every
// turn: tell the Selector which target has it (Selection.Learn of package affinity).
func State() Extractor {
	return ExtractorFunc(func(r *Request) (Session, bool) {
		for _, f := range pointerFields {
			if id, ok := jsonID(r.pointer(f)); ok {
				return r.named(stateSource, id, Explicit), true
			}
		}
		if id, ok := pathState(r.Path); ok {
			return r.named(stateSource, id, Explicit), true
		}
		return Session{}, false
	})
}

// pointerFields name the state that a request continues: the end of the conversation so far.
var pointerFields = []field{
	previousResponseIDField,
	previousInteractionIDField,
	threadPreviousMessageIDField,
}

// pointer returns the text of one of the pointerFields, or nil. The message of a
// thread counts only where the thread continues.
func (r *Request) pointer(f field) []byte {
	if f == threadPreviousMessageIDField && !r.continuesThread() {
		return nil
	}
	return r.get(f)
}

// continuesThread reports whether the request continues a message thread of Claude Code.
func (r *Request) continuesThread() bool {
	return unquote(r.get(threadTypeField)) == "continue"
}

// delta reports whether the body holds only what is new in a conversation that
// the server keeps.
func (r *Request) delta() bool {
	if r.continuesThread() {
		return true
	}
	for _, f := range [...]field{previousResponseIDField, previousInteractionIDField, conversationField, conversationInnerIDField} {
		if hasText(r.get(f)) {
			return true
		}
	}
	c := jsonscan.New(r.get(contextField)) // Ollama's: the tokens of what was said before
	return c.Array() && c.Element() && '0' <= c.Kind() && c.Kind() <= '9'
}

// pathState returns the id of state in a path such as /v1/responses/resp_1/cancel: that after the
// first segment that names a kind of state and has an id of that kind after it.
func pathState(path string) (string, bool) {
	const maxPath = 1 << 12 // bytes
	if len(path) > maxPath {
		return "", false
	}
	for before := ""; ; { // before is the segment before kind
		kind, rest, ok := strings.Cut(path, "/")
		if !ok {
			return "", false
		}
		if id := stateAt(before, kind, rest); id != "" {
			return ID(id)
		}
		before, path = kind, rest
	}
}

// stateAt returns the id of state in rest, the path after the segment kind, or "". before is the
// segment before kind. Whether a segment is an id, and not a verb or anything else, is told by
// how it begins. Such ids are learned from responses: what is added here must be added to
// StateReader (isStateID), too.
func stateAt(before, kind, rest string) string {
	id, after, _ := strings.Cut(rest, "/")
	is := false
	switch kind {
	case "responses", "conversations", "interactions":
		is = strings.Contains(id, "_") && id != "input_tokens" || kind == "responses" && isUUID(id) // of xAI; nor compact
	case "threads": // OpenAI's assistants
		is = begins(id, "thread_")
	case "sessions": // of agents: Claude's, OpenAI's
		is = begins(id, "sesn_", "sess_")
	case "agents":
		is = begins(id, "agent_", "ag_")
	case "environments":
		is = begins(id, "env_")
	case "vaults": // the same
		is = begins(id, "vlt_", "vault_")
	case "deployments":
		is = begins(id, "depl_")
	case "memory_stores":
		is = begins(id, "memstore_")
	case "containers":
		is = begins(id, "cntr_", "container_")
	case "vector_stores":
		is = begins(id, "vs_")
	case "skills":
		is = begins(id, "skill_")
	case "videos": // of OpenAI and xAI
		is = begins(id, "video_") || isUUID(id)
	case "files", "batches", "cachedContents", "fileSearchStores":
		if is = id != "" && before == "v1beta"; is { // Gemini, with a verb after a colon
			id, _, _ = strings.Cut(kind+"/"+id, ":")
		} else {
			is = begins(id, "file-", "file_", "batch_", "msgbatch_") || kind == "files" && isUUID(id) // of Mistral
		}
	case "uploads":
		is = begins(id, "upload_")
	case "jobs": // of fine-tuning and, at Mistral, batches
		is = begins(id, "ftjob-") || isUUID(id)
	case "tasks": // Volcengine's videos, and what DashScope makes
		is = begins(id, "cgt-") || isUUID(id)
	case "deferred-completion": // of xAI
		is = isUUID(id)
	case "models": // Gemini's, with what one of them is doing, and a verb after a colon
		rest, _, _ = strings.Cut(rest, ":")
		if _, operation, _ := strings.Cut(rest, "/operations/"); operation != "" {
			id, is = kind+"/"+rest, true
		}
	case "agentAliases": // of Bedrock, whose clients choose ids of sessions, each for an agent
		_, session, _ := strings.Cut(rest, "/sessions/")
		session, _, _ = strings.Cut(session, "/")
		id, is = before+"/"+session, session != ""
	}
	if !is || len(after) > 1 && after[0] == 'v' && '0' <= after[1] && after[1] <= '9' || strings.HasSuffix(after, "completions") {
		return "" // or somebody's own name before the path of an API: /tasks/.../v1/messages, or a deployment of Azure's
	}
	return id
}
