<?php
mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
// The file with the system's CAs: /etc/ssl/cert.pem on macOS and Alpine, /etc/pki/tls/certs/ca-bundle.crt on Fedora.
$ca = getenv('SSL_CERT_FILE') ?: '/etc/ssl/certs/ca-certificates.crt';
$connection = mysqli_init();
// Without such a file, mysqli takes any certificate.
$connection->ssl_set(null, null, $ca, null, null);
$connection->real_connect(
    '<HOST>', '<USER>', getenv('TIDB_PASSWORD'), '<DATABASE>', <PORT>, null, MYSQLI_CLIENT_SSL
);
echo $connection->query('SELECT VERSION()')->fetch_row()[0], PHP_EOL;
