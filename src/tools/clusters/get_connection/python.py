import os
import ssl

import pymysql

connection = pymysql.connect(
    host="<HOST>",
    port=<PORT>,
    user="<USER>",
    password=os.environ["TIDB_PASSWORD"],
    database="<DATABASE>",
    # The system's CAs; it checks the certificate and the host's name.
    ssl=ssl.create_default_context(),
)
with connection, connection.cursor() as cursor:
    cursor.execute("SELECT VERSION()")
    print(cursor.fetchone()[0])
