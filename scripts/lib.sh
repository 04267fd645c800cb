# shellcheck shell=bash
# Functions shared by the deployment scripts; sourced, not run. Callers set `dry_run` and `assume_yes` (empty: no).

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
program=$(basename "$0")
dry_run=${dry_run:-} assume_yes=${assume_yes:-}

say() { printf '%s\n' "$*" >&2; }
die() { say "$program: $*"; exit 1; }

# Print the comment at the head of the calling script, which is its usage.
usage() { sed -n '2,/^[^#]/ s/^# \{0,1\}//p' "$0"; }

# Run a command, or only print it.
run() {
  if [ -n "$dry_run" ]; then say "would run: $*"; else "$@"; fi
}

# need TOOL HINT: fail if a tool is missing; a dry run only reports it.
need() {
  command -v "$1" >/dev/null && return
  if [ -n "$dry_run" ]; then say "missing: $1 ($2)"; else die "needs $1: $2"; fi
}

need_credentials() {
  [ -n "$dry_run" ] && return
  local said
  # The answer is the same in every region, but the CLI requires one.
  said=$(aws sts get-caller-identity --region "${AWS_REGION:-${AWS_DEFAULT_REGION:-us-east-1}}" 2>&1) ||
    die "no usable AWS credentials: set AWS_PROFILE, or run aws configure, and try 'aws sts get-caller-identity'. It says: $said"
}

# confirm QUESTION: continue only after a typed yes; not asked with --yes or in a dry run.
confirm() {
  [ -n "$dry_run$assume_yes" ] && return
  [ -t 0 ] || die "needs a confirmation, but there is no terminal: use --yes"
  read -r -p "$1 Type yes: " answer
  [ "$answer" = yes ] || die "cancelled, nothing done"
}

[ -t 2 ] || export TF_CLI_ARGS=-no-color
tf=(terraform "-chdir=$root/terraform")

# TF_PLUGIN_DIR: a folder with unpacked providers, for machines without access to the registry.
terraform_init() {
  run "${tf[@]}" init -input=false ${TF_PLUGIN_DIR:+"-plugin-dir=$TF_PLUGIN_DIR"} >&2
}

# output NAME: print one output of the deployment, or NAME in angle brackets in a dry run. Fails if it does not exist; for a
# state without outputs, Terraform prints a warning instead and exits with 0.
output() {
  local value
  if [ -n "$dry_run" ]; then printf '<%s>' "$1"; return; fi
  value=$("${tf[@]}" output -raw "$1") || return
  case $value in '' | *"No outputs found"*) return 1 ;; esac
  printf '%s' "$value"
}

# pairs NAME: print an output that is a map, one entry per line: key, tab, value.
pairs() {
  "${tf[@]}" output -json "$1" | python3 -c 'import json, sys; [print(*pair, sep="\t") for pair in json.load(sys.stdin).items()]'
}

# locate: set repository, registry, region and name from the deployment; fails if nothing is deployed. The registry's address is
# the only output of an interrupted first deployment, and it contains region and name.
# shellcheck disable=SC2034  # for the caller
locate() {
  repository=$(output repository_url 2>/dev/null) || return
  registry=${repository%%/*}
  name=${repository#*/}
  region=${registry#*.ecr.}
  region=${region%%.*}
}

# make_plan ARGUMENTS: save a plan in the file $plan; set platform, image_tag and place (region and name) from its variables,
# and summary to the text for the user.
# shellcheck disable=SC2034  # for the caller
make_plan() {
  local answer
  "${tf[@]}" plan -input=false -out="$plan" "$@" >/dev/null
  answer=$("${tf[@]}" show -json "$plan" | python3 "$root/scripts/plan_summary.py")
  read -r platform image_tag place <<<"$answer"
  summary=$(tail -n +2 <<<"$answer")
}

# A saved plan contains secrets, so it is kept in a temporary file and deleted when the script ends.
plan_file() {
  plan=$(mktemp)
  trap 'rm -f "$plan"' EXIT
}
