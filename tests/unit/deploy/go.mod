// The schema of compose files, as the tests of docker-compose.yml get it.
module bal.example/compose-schema

go 1.24

require github.com/compose-spec/compose-go/v2 v2.16.2
